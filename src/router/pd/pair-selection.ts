import type { PairCandidates, PairExplanations, Picked, PickedPair, Policy } from "../../policy/policy.ts";
import type { Worker } from "../../worker/worker.ts";
import type { Chosen } from "../chosen.ts";
import { decisionOf } from "../decision.ts";
import type { Choice, Leg, SelectionRequest } from "../choice.ts";
import type { Legs } from "../try.ts";

/** The workers of both legs that a request may still go to. */
export interface PairWorkers {
  readonly prefillers: readonly Worker[];
  readonly decoders: readonly Worker[];
}

/**
 * Lets the policy of the prefill leg choose both workers at once. undefined where it does not choose pairs, or not with the policy of the
 * decode leg, or where no two workers fit and no decode worker prefills for itself.
 */
export function choosePair(
  choice: Choice,
  prefillLeg: Leg,
  workers: PairWorkers,
  request: SelectionRequest,
): Legs<Chosen> | undefined {
  const { policy } = prefillLeg;
  if (!policy.pickPair || workers.decoders.length === 0) return undefined;
  const decodeLeg = choice.legs.answer;
  const candidates = new CandidatePairs(choice, workers, decodeLeg.policy);
  const { features, record } = request;
  const explained = record.decisions && policy.explainPair?.(candidates, features);
  const pair = policy.pickPair(candidates, features);
  if (!pair) return undefined;
  const chosen = chosenOf({ prefillLeg, decodeLeg, workers, explained, pair });
  if (chosen?.prefill?.decision) record.decisions?.push(chosen.prefill.decision);
  if (chosen?.answer.decision) record.decisions?.push(chosen.answer.decision);
  return chosen;
}

/** Whether the workers can still answer: two of them fit, or a policy over pairs lets a decode worker prefill for itself. */
export function canAnswer({ legs, fits, prefillsAlone }: Choice, { prefillers, decoders }: PairWorkers): boolean {
  if (prefillers.some((prefill) => decoders.some((decode) => fits(prefill, decode)))) return true;
  return legs.prefill?.policy.pickPair !== undefined && decoders.some(prefillsAlone);
}

class CandidatePairs implements PairCandidates {
  readonly prefillers: readonly Worker[];
  readonly decoders: readonly Worker[];
  readonly decodePolicy: Policy;
  readonly #choice: Choice;

  constructor(choice: Choice, { prefillers, decoders }: PairWorkers, decodePolicy: Policy) {
    this.#choice = choice;
    this.prefillers = prefillers;
    this.decoders = decoders;
    this.decodePolicy = decodePolicy;
  }

  fits(prefill: number, decode: number): boolean {
    const [one, other] = [this.prefillers[prefill], this.decoders[decode]];
    return one !== undefined && other !== undefined && this.#choice.fits(one, other);
  }

  prefillsAlone(decode: number): boolean {
    const worker = this.decoders[decode];
    return worker !== undefined && this.#choice.prefillsAlone(worker);
  }
}

interface Picks {
  readonly prefillLeg: Leg;
  readonly decodeLeg: Leg;
  readonly workers: PairWorkers;
  readonly explained: PairExplanations | undefined;
  readonly pair: PickedPair;
}

function chosenOf({ prefillLeg, decodeLeg, workers, explained, pair }: Picks): Legs<Chosen> | undefined {
  const answer = chosenAt(decodeLeg, workers.decoders, pair.decode, explained?.decode);
  const prefill = pair.prefill && chosenAt(prefillLeg, workers.prefillers, pair.prefill, explained?.prefill);
  return answer && { prefill, answer };
}

function chosenAt(
  leg: Leg,
  candidates: readonly Worker[],
  pick: Picked,
  explanations: PairExplanations["decode"] | undefined,
): Chosen | undefined {
  const { index, reason = "unsaid" } = pick;
  const worker = candidates[index];
  if (!worker) return undefined;
  const decision = explanations && decisionOf({ leg, candidates, index, reason, explanations, pick });
  const { name: policy } = leg.policy;
  return { worker, isProbe: false, pick, policy, reason, candidates: candidates.length, decision };
}
