import type { PairCandidates, PairExplanations, Picked, Policy } from "../../policy/policy.ts";
import type { Worker } from "../../worker/worker.ts";
import type { Chosen } from "../chosen.ts";
import { decisionOf } from "../decision.ts";
import type { Choice, Leg, SelectionRequest } from "../choice.ts";
import { sessionWorker } from "../session-worker.ts";
import type { Legs } from "../try.ts";

/** The workers of both legs that a request may still go to. */
export interface PairWorkers {
  readonly prefillers: readonly Worker[];
  readonly decoders: readonly Worker[];
}

/**
 * Lets the policy of the prefill leg choose both workers at once. A session stays with its worker of each leg, if the two fit. undefined
 * where the policy does not choose pairs with that of the decode leg, or where no two workers fit and no decode worker prefills for itself.
 */
export function choosePair(
  choice: Choice,
  prefillLeg: Leg,
  workers: PairWorkers,
  request: SelectionRequest,
): Legs<Chosen> | undefined {
  const { policy } = prefillLeg;
  const decodeLeg = choice.legs.answer;
  if (!policy.pairsWith?.(decodeLeg.policy) || workers.decoders.length === 0) return undefined;
  const { features } = request;
  const own = {
    prefillers: sessionWorker(policy, workers.prefillers, features),
    decoders: sessionWorker(decodeLeg.policy, workers.decoders, features),
  };
  const pairing = { choice, prefillLeg, decodeLeg, workers, request };
  const chosen = (own.prefillers ?? own.decoders) && chooseAmong(pairing, own);
  return chosen ?? chooseAmong(pairing, {});
}

/** Whether the workers can still answer: two of them fit, or a policy over pairs lets a decode worker prefill for itself. */
export function canAnswer({ legs, fits, prefillsAlone }: Choice, { prefillers, decoders }: PairWorkers): boolean {
  if (prefillers.some((prefill) => decoders.some((decode) => fits(prefill, decode)))) return true;
  return legs.prefill?.policy.pairsWith?.(legs.answer.policy) === true && decoders.some(prefillsAlone);
}

interface Pairing {
  readonly choice: Choice;
  readonly prefillLeg: Leg;
  readonly decodeLeg: Leg;
  readonly workers: PairWorkers;
  readonly request: SelectionRequest;
}

/** The workers with which the request's session stays; undefined for a leg where the policy chooses among all. */
type OwnWorkers = { readonly [Leg in keyof PairWorkers]?: PairWorkers[Leg] | undefined };

function chooseAmong(
  { choice, prefillLeg, decodeLeg, workers, request }: Pairing,
  own: OwnWorkers,
): Legs<Chosen> | undefined {
  const { policy } = prefillLeg;
  const { prefillers = workers.prefillers, decoders = workers.decoders } = own;
  const candidates = new CandidatePairs(choice, { prefillers, decoders }, decodeLeg.policy);
  const { features, record } = request;
  const explained = record.decisions && policy.explainPair?.(candidates, features);
  const pair = policy.pickPair?.(candidates, features);
  if (!pair) return undefined;
  const answer = chosenAt(
    { leg: decodeLeg, candidates: decoders, isOwn: own.decoders !== undefined, among: workers.decoders.length },
    pair.decode,
    explained?.decode,
  );
  if (!answer) return undefined;
  const prefill =
    pair.prefill &&
    chosenAt(
      {
        leg: prefillLeg,
        candidates: prefillers,
        isOwn: own.prefillers !== undefined,
        among: workers.prefillers.length,
      },
      pair.prefill,
      explained?.prefill,
    );
  for (const chosen of [prefill, answer]) if (chosen?.decision) record.decisions?.push(chosen.decision);
  if (prefill) tellChosen(prefillLeg, prefill, features);
  tellChosen(decodeLeg, answer, features);
  return { prefill, answer };
}

/** The sessions and signals of a leg's policy hear of the choice. */
function tellChosen({ policy }: Leg, { worker }: Chosen, features: SelectionRequest["features"]): void {
  policy.affinity?.chosen(worker.slot);
  policy.signals?.onPick(features, worker);
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

/** One leg of a pair, and the workers that it was chosen from. */
interface LegChoice {
  readonly leg: Leg;
  readonly candidates: readonly Worker[];
  /** The only candidate is the worker of the request's session. */
  readonly isOwn: boolean;
  /** How many workers there were without the session. */
  readonly among: number;
}

function chosenAt(
  { leg, candidates, isOwn, among }: LegChoice,
  pick: Picked,
  explanations: PairExplanations["decode"] | undefined,
): Chosen | undefined {
  const { index } = pick;
  const worker = candidates[index];
  if (!worker) return undefined;
  const { policy } = leg;
  const reason = isOwn && pick.reason !== "prefills_alone" ? "session" : (pick.reason ?? "unsaid");
  const decision = explanations && decisionOf({ leg, candidates, index, reason, explanations, pick });
  return { worker, isProbe: false, pick, heardBy: policy, policy: policy.name, reason, candidates: among, decision };
}
