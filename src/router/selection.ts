import { GatewayError } from "../errors/errors.ts";
import type { PickReason } from "../policy/pick-reasons.ts";
import type { Decision } from "../observability/decision.ts";
import { NOBODY, type Picked, type Policy } from "../policy/policy.ts";
import type { Clock } from "../util/clock.ts";
import type { LoadLedger } from "../worker/load-ledger.ts";
import type { Worker } from "../worker/worker.ts";
import type { WantedWorkers } from "../worker/wanted-workers.ts";
import { preferredOf } from "../worker/preferred-workers.ts";
import type { Choice, Leg, SelectionRequest } from "./choice.ts";
import type { Chosen } from "./chosen.ts";
import { decisionOf, explanationsOf, type Weighed } from "./decision.ts";
import { canAnswer, choosePair } from "./pd/pair-selection.ts";
import { sessionDraw, sessionWorker } from "./session-worker.ts";
import type { Legs } from "./try.ts";

export interface SelectionDeps {
  readonly ledger: LoadLedger;
  readonly clock: Clock;
  /** Random numbers in [0, 1), for workers in their slow start. */
  readonly random: () => number;
  /** `Retry-After` where no worker can take a request now, s. */
  readonly capacityRetryAfterSecs: number;
  /** Is asked for workers of which none can take a request. */
  readonly wanted: Pick<WantedWorkers, "ask">;
}

/**
 * Chooses the workers of a request: one for each leg, both at once. A policy that chooses pairs (`pickPair`) is asked for both; it may
 * leave the prefill worker out, where the decode worker prefills for itself.
 */
export class Selection {
  readonly #deps: SelectionDeps;
  readonly #request: SelectionRequest;
  readonly #choice: Choice;
  /** Workers that may still be chosen to prefill; none where the request has no such leg. */
  #prefillers: readonly Worker[];
  /** Workers that may still be chosen to answer. */
  #answerers: readonly Worker[];

  constructor(deps: SelectionDeps, request: SelectionRequest, choice: Choice) {
    const { legs, lost } = choice;
    this.#deps = deps;
    this.#request = request;
    this.#choice = choice;
    this.#prefillers = legs.prefill ? without(this.#startingWith(legs.prefill), lost) : [];
    this.#answerers = without(this.#startingWith(legs.answer), lost);
  }

  /** The available workers, without those in a slow start whose share does not include this request. */
  #startingWith({ policy, snapshot: { available, slowStarts } }: Leg): readonly Worker[] {
    if (!slowStarts) return available;
    const draw = sessionDraw(policy, slowStarts, this.#request.features) ?? this.#deps.random();
    return slowStarts.candidates(draw, this.#deps.clock.now());
  }

  /** Chooses for the first try. A worker with a half-open breaker that needs a probe comes before the policy's choice. Throws no_available_workers. */
  first(): Legs<Chosen> {
    const { prefill, answer } = this.#choice.legs;
    return this.#pick(prefill && this.#takeProbe(prefill), this.#takeProbe(answer));
  }

  /** Chooses for the next try, without the workers that were left out. Throws no_available_workers. */
  next(): Legs<Chosen> {
    return this.#pick(undefined, undefined);
  }

  /** Chooses the same workers again. The earlier picks are over, so the policies are asked again, with these workers only. */
  again({ prefill, answer }: Legs<Chosen>): Legs<Chosen> {
    const { legs } = this.#choice;
    if (legs.prefill && !prefill) return this.#aloneAgain(legs.prefill, answer);
    return {
      prefill: prefill && legs.prefill && this.#sameAgain(legs.prefill, prefill),
      answer: this.#sameAgain(legs.answer, answer),
    };
  }

  /** The decode worker prefills for itself once more. */
  #aloneAgain(leg: Leg, answer: Chosen): Legs<Chosen> {
    const workers = { prefillers: [], decoders: [answer.worker] };
    const pick = choosePair(this.#choice, leg, workers, this.#request)?.answer.pick;
    const again: Chosen = { ...answer, pick, reason: "same_again", candidates: 1, decision: undefined };
    return { prefill: undefined, answer: again };
  }

  #sameAgain({ policy }: Leg, chosen: Chosen): Chosen {
    const again: Chosen = { ...chosen, reason: "same_again", candidates: 1, decision: undefined };
    if (!chosen.pick) return again;
    const picked = policy.pick([chosen.worker], this.#request.features);
    return { ...again, pick: typeof picked === "number" ? undefined : picked };
  }

  /**
   * Leaves a worker out. Returns false and changes nothing if no other worker could replace it. Where a data-parallel rank is broken or
   * cannot be reached, so are probably the other ranks of its engine: they replace it only where nobody else can and the engine was reached.
   */
  leaveOut(worker: Worker, error?: GatewayError): boolean {
    const isOther = ({ id }: Worker): boolean => id !== worker.id;
    if (worker.rank === undefined || error?.row.breaker !== "fault") return this.#keep(worker, isOther);
    const isElsewhere = this.#keep(worker, ({ spec }) => spec.url !== worker.spec.url);
    return isElsewhere || (error.row.retry !== "reachable_elsewhere" && this.#keep(worker, isOther));
  }

  #keep({ spec }: Worker, isKept: (worker: Worker) => boolean): boolean {
    const [prefillers, answerers] = [this.#prefillers, this.#answerers];
    if (spec.workerType === "prefill") this.#prefillers = prefillers.filter(isKept);
    else this.#answerers = answerers.filter(isKept);
    const isServed = this.#choice.legs.prefill
      ? canAnswer(this.#choice, { prefillers: this.#prefillers, decoders: this.#answerers })
      : this.#answerers.length > 0;
    if (!isServed) [this.#prefillers, this.#answerers] = [prefillers, answerers];
    return isServed;
  }

  /** Picks the workers, and releases probes that were acquired for this try but are not used. */
  #pick(prefillProbe: Worker | undefined, answerProbe: Worker | undefined): Legs<Chosen> {
    const { prefill, answer } = this.#choice.legs;
    let chosen: Legs<Chosen> | undefined;
    try {
      chosen = prefill
        ? this.#pickPair(prefill, answer, prefillProbe, answerProbe)
        : { prefill: undefined, answer: this.#chosen(answer, answerProbe, this.#answerers) };
      return chosen;
    } finally {
      this.#giveBack(prefillProbe, chosen?.prefill);
      this.#giveBack(answerProbe, chosen?.answer);
    }
  }

  #giveBack(probe: Worker | undefined, chosen: Chosen | undefined): void {
    if (probe && chosen?.worker !== probe) this.#deps.ledger.releaseProbe(probe.slot);
  }

  /** Picks a pair. A prefill worker that fits no decode worker is skipped. */
  #pickPair(
    prefillLeg: Leg,
    decodeLeg: Leg,
    prefillProbe: Worker | undefined,
    decodeProbe: Worker | undefined,
  ): Legs<Chosen> {
    const decoders = this.#answerers;
    const pair = prefillProbe ? undefined : this.#pairAtOnce(prefillLeg, decodeLeg, decodeProbe);
    if (pair) return pair;
    if (decoders.length === 0 && !decodeProbe) throw this.#nobody("no decode worker can", decodeLeg);
    let prefillers = this.#prefillers;
    let proof = prefillProbe;
    do {
      const prefill = this.#chosen(prefillLeg, proof, prefillers);
      const proving = decodeProbe && this.#choice.fits(prefill.worker, decodeProbe) ? decodeProbe : undefined;
      const fitting = this.#fitting(prefill.worker, decoders);
      if (proving || fitting.length > 0) return this.#pairWith(prefill, decodeLeg, proving, fitting);
      unsent(prefill);
      prefillers = prefillers.filter((candidate) => candidate !== prefill.worker);
      proof = undefined;
    } while (prefillers.length > 0);
    throw this.#nobody("no prefill and decode workers that fit together can", decodeLeg);
  }

  /** Both workers by a policy that chooses pairs; undefined where the policies of both legs choose. */
  #pairAtOnce(prefillLeg: Leg, decodeLeg: Leg, decodeProbe: Worker | undefined): Legs<Chosen> | undefined {
    const prefillers = preferred(prefillLeg, this.#prefillers);
    if (decodeProbe) {
      // A probe is no choice of a policy; but without any prefill worker, only a pair's policy can do without one.
      if (prefillers.length > 0) return undefined;
      const alone = choosePair(this.#choice, prefillLeg, { prefillers, decoders: [decodeProbe] }, this.#request);
      if (alone) return { ...alone, answer: { ...alone.answer, isProbe: true, reason: "probe" } };
    }
    const decoders = preferred(decodeLeg, this.#answerers);
    return choosePair(this.#choice, prefillLeg, { prefillers, decoders }, this.#request);
  }

  #pairWith(prefill: Chosen, leg: Leg, probe: Worker | undefined, candidates: readonly Worker[]): Legs<Chosen> {
    try {
      return { prefill, answer: this.#chosen(leg, probe, candidates) };
    } catch (error) {
      unsent(prefill);
      throw error;
    }
  }

  /** The decode workers that fit; the same list if all fit, which is nearly always. */
  #fitting(prefill: Worker, decoders: readonly Worker[]): readonly Worker[] {
    const { fits } = this.#choice;
    return decoders.every((decode) => fits(prefill, decode))
      ? decoders
      : decoders.filter((decode) => fits(prefill, decode));
  }

  /** The policy's choice among the candidates with the highest priority that are left for this request. */
  #chosen(leg: Leg, probe: Worker | undefined, able: readonly Worker[]): Chosen {
    const { policy } = leg;
    if (probe) return probing(policy, probe);
    const among = preferred(leg, able);
    const { features, record } = this.#request;
    const own = sessionWorker(policy, among, features);
    const candidates = own ?? among;
    const explanations = record.decisions && explanationsOf(policy, candidates, features);
    const picked = candidates.length > 0 ? policy.pick(candidates, features) : NOBODY;
    const pick = typeof picked === "number" ? undefined : picked;
    const index = typeof picked === "number" ? picked : picked.index;
    const worker = candidates[index];
    if (!worker) throw this.#nobody(leg.role === "regular" ? "no worker can" : `no ${leg.role} worker can`, leg);
    policy.affinity?.chosen(worker.slot);
    policy.signals?.onPick(features, worker);
    const reason = own ? "session" : reasonOf(policy, candidates, pick);
    const decision = explanations && this.#decide({ leg, candidates, index, reason, explanations, pick });
    return {
      worker,
      isProbe: false,
      pick,
      heardBy: policy,
      policy: policy.name,
      reason,
      candidates: among.length,
      decision,
    };
  }

  /** Keeps the choice with its reasons. Apart from `#chosen`, which the few requests that are explained had compiled again and again. */
  #decide(weighed: Weighed): Decision {
    const decision = decisionOf(weighed);
    this.#request.record.decisions?.push(decision);
    return decision;
  }

  #nobody(who: string, { snapshot }: Leg): GatewayError {
    const { clock, capacityRetryAfterSecs, wanted } = this.#deps;
    const { prefill, answer } = this.#choice.legs;
    if (prefill?.snapshot.available.length === 0) wanted.ask(prefill.snapshot);
    if (answer.snapshot.available.length === 0) wanted.ask(answer.snapshot);
    return new GatewayError("no_available_workers", `${who} take this request now`, {
      retryAfterSecs: secsUntilRested(clock.now(), snapshot.resting) ?? capacityRetryAfterSecs,
    });
  }

  /** Takes a worker with a half-open breaker that has no probe at present. */
  #takeProbe({ snapshot: { probation } }: Leg): Worker | undefined {
    if (probation.length === 0) return undefined;
    for (const worker of without(probation, this.#choice.lost)) {
      if (this.#deps.ledger.tryAcquireProbe(worker.slot)) return worker;
    }
    return undefined;
  }
}

/** The choice of a worker that is to be probed. The policy is not asked. */
function probing({ name }: Policy, worker: Worker): Chosen {
  return {
    worker,
    isProbe: true,
    pick: undefined,
    heardBy: undefined,
    policy: name,
    reason: "probe",
    candidates: 1,
    decision: undefined,
  };
}

/** Those with the highest priority of these workers. */
function preferred({ snapshot }: Leg, able: readonly Worker[]): readonly Worker[] {
  return snapshot.hasPriorities ? preferredOf(able) : able;
}

function reasonOf(
  { lastReason = "unsaid" }: Policy,
  { length }: readonly Worker[],
  pick: Picked | undefined,
): PickReason {
  return length === 1 ? "only_one" : (pick?.reason ?? lastReason);
}

/** Tells the policy that its choice was not sent. */
function unsent({ pick }: Chosen): void {
  pick?.onEnd?.({ outcome: "unsent", ms: 0, usage: undefined });
}

function without(workers: readonly Worker[], lost: ReadonlySet<string>): readonly Worker[] {
  return lost.size === 0 ? workers : workers.filter(({ id }) => !lost.has(id));
}

/** Whole seconds until the first resting worker can be asked again. */
function secsUntilRested(now: number, resting: readonly Worker[]): number | undefined {
  if (resting.length === 0) return undefined;
  const first = Math.min(...resting.map(({ restUntil = now }) => restUntil));
  return Math.max(1, Math.ceil((first - now) / 1000));
}
