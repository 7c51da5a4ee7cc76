import type {
  PairCandidates,
  Picked,
  PickedPair,
  PickOutcome,
  PickUsage,
  Policy,
  PolicyNews,
} from "../policy/policy.ts";
import type { PolicyParts } from "../policy/policy.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { FailedLoad } from "../worker/failed-load.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { SimCandidate } from "./driver-candidate.ts";
import type { FleetView } from "./driver-fleet.ts";
import { MODEL, type SimAttempt, type SimFeatures, type SimLeg } from "./driver-request.ts";
import { OpenStreams } from "./driver-streams.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** The parts for an instance of a policy in a simulation: what the product gives it, and the fleet for those that look into engines. */
export interface SimPolicyParts extends PolicyParts {
  readonly fleet: FleetView;
}

/** A policy to judge: one of the product, or a baseline. */
export interface SimPolicy {
  readonly name: string;
  /** It asks what the engines were like when the latest news was sent that gateways have by now. */
  readonly isLate?: boolean;
  /** Makes an instance for one gateway, and one more for its decode workers where prefill and decode are apart. */
  create(parts: SimPolicyParts): Policy;
}

/** Failures in a row after which a gateway leaves a worker out. */
const LEFT_OUT_AFTER = 3;

/** A worker as a gateway knows it. */
export interface KnownWorker {
  readonly role: WorkerType;
  /** What it says of its KV cache, tokens; undefined for one that says nothing. */
  readonly kvCapacityTokens: number | undefined;
}

/** Makes a gateway. */
export interface GatewayOptions {
  readonly name: string;
  readonly policy: SimPolicy;
  readonly fleet: FleetView;
  readonly time: VirtualTime;
  readonly random: () => number;
  /** The workers of the fleet in their order. */
  readonly workers: readonly KnownWorker[];
  /** Whether decode workers may prefill prompts themselves. */
  readonly prefillsAlone: boolean;
  /** Carries news to the other gateways; undefined where they are blind. */
  readonly tell: ((news: PolicyNews) => void) | undefined;
}

/** Where a request goes. */
export interface SimChoice {
  readonly attempt: SimAttempt;
  /** Time that the policy took on this machine, without the hashing of the prompt, us. */
  readonly decisionUs: number;
}

/** One gateway: the product's policies and ledger, and the workers that it knows. */
export class SimGateway {
  readonly name: string;
  readonly #time: VirtualTime;
  readonly #ledger = new LoadLedger();
  readonly #failedLoad: FailedLoad;
  readonly #prefillsAlone: boolean;
  readonly #streams: OpenStreams;
  /** All workers of the fleet by their slots, known or not. */
  readonly #workers: readonly SimCandidate[];
  /** The policy of the workers that prefill, and of those that answer: the same where they are not apart. */
  readonly #policy: Policy;
  readonly #answerPolicy: Policy;
  /** Those that prefill and those that answer. The lists are replaced when the set changes, as the product does it. */
  #prefillers: readonly SimCandidate[] = [];
  #answerers: readonly SimCandidate[] = [];

  constructor({ name, policy, fleet, time, random, workers, prefillsAlone, tell }: GatewayOptions) {
    this.name = name;
    this.#time = time;
    this.#failedLoad = new FailedLoad(time);
    this.#prefillsAlone = prefillsAlone;
    this.#streams = new OpenStreams(fleet, workers.length);
    this.#workers = workers.map((worker) => new SimCandidate(this.#ledger.acquireSlot(), worker, this.#ledger));
    const create = (): Policy =>
      policy.create({
        memory: (bytes) => new SharedArrayBuffer(bytes),
        random,
        now: () => time.now(),
        thread: 0,
        threads: 1,
        gateway: name,
        tell,
        fleet,
      });
    this.#policy = create();
    this.#answerPolicy = workers.some(({ role }) => role === "decode") ? create() : this.#policy;
  }

  /** Learns of a worker. */
  join(worker: number): void {
    const known = new Set([worker, ...[...this.#prefillers, ...this.#answerers].map(({ slot }) => slot)]);
    this.#know(this.#workers.filter(({ slot }) => known.has(slot)));
  }

  #know(workers: readonly SimCandidate[]): void {
    this.#prefillers = workers.filter(({ role }) => role === "prefill");
    this.#answerers = workers.filter(({ role }) => role !== "prefill");
  }

  /** Learns that a worker was restarted. One that was left out, because it was dead, is back. */
  restarted(worker: number): void {
    const candidate = this.#workers[worker];
    if (!candidate) return;
    this.#policyOf(candidate).forget?.(candidate.id, candidate.slot);
    candidate.failures = 0;
    this.join(worker);
  }

  #policyOf({ role }: SimCandidate): Policy {
    return role === "decode" ? this.#answerPolicy : this.#policy;
  }

  /** Hears of another gateway's request. */
  hear(news: PolicyNews): void {
    this.#policy.hear?.(news, this.#prefillers.length > 0 ? this.#prefillers : this.#answerers);
    if (this.#answerPolicy !== this.#policy) this.#answerPolicy.hear?.(news, this.#answerers);
  }

  /** Hears what its streams have got until now. */
  hearStreams(): void {
    this.#streams.tell();
  }

  /** Chooses the workers of a request and counts it there; undefined where no worker can be chosen. */
  choose(request: SimFeatures, lost: ReadonlySet<number>): SimChoice | undefined {
    const prefillers = without(this.#prefillers, lost);
    const answerers = without(this.#answerers, lost);
    if (answerers.length === 0) return undefined;
    // A simulated prompt has no bytes, so the time to hash it would say nothing.
    request.promptBlocks();
    const startedAt = Bun.nanoseconds();
    const isPair = this.#answerPolicy !== this.#policy;
    const pair = isPair ? this.#pickPair(prefillers, answerers, request) : this.#pickOne(answerers, request);
    const decisionUs = (Bun.nanoseconds() - startedAt) / 1000;
    const answer = pair && this.#charge(answerers, pair.decode, request);
    if (!answer) return undefined;
    const prefill = pair.prefill && this.#charge(prefillers, pair.prefill, request);
    return { attempt: { answer, prefill }, decisionUs };
  }

  #pickOne(answerers: readonly SimCandidate[], request: SimFeatures): PickedPair {
    return { prefill: undefined, decode: asPicked(this.#answerPolicy.pick(answerers, request)) };
  }

  /** Both workers by a policy that chooses pairs, or each by its own policy. */
  #pickPair(
    prefillers: readonly SimCandidate[],
    decoders: readonly SimCandidate[],
    request: SimFeatures,
  ): PickedPair | undefined {
    const candidates: PairCandidates = {
      prefillers,
      decoders,
      decodePolicy: this.#answerPolicy,
      fits: () => true,
      prefillsAlone: () => this.#prefillsAlone,
    };
    const pair = this.#policy.pickPair?.(candidates, request);
    if (pair || prefillers.length === 0) return pair;
    return { ...this.#pickOne(decoders, request), prefill: asPicked(this.#policy.pick(prefillers, request)) };
  }

  #charge(candidates: readonly SimCandidate[], picked: Picked, { promptTokens }: SimFeatures): SimLeg | undefined {
    const candidate = candidates[picked.index];
    if (!candidate) return undefined;
    const { slot, role } = candidate;
    const { chargeTokens = role === "decode" ? 0 : promptTokens, contextTokens = promptTokens } = picked;
    const lease = this.#ledger.charge(slot, chargeTokens, contextTokens);
    return { worker: slot, picked, lease, chargedAt: this.#time.now() };
  }

  /** The first token of this leg has come. */
  firstToken(leg: SimLeg): void {
    const { lease, picked, chargedAt } = leg;
    lease.prefillDone();
    picked?.onFirstToken?.(this.#time.now() - chargedAt);
    this.#streams.begin(leg);
  }

  /** The leg is over. A worker that fails a few times in a row is left out. */
  end(leg: SimLeg, outcome: PickOutcome, usage: PickUsage | undefined): void {
    const { worker, lease, picked, chargedAt } = leg;
    this.#streams.end(leg);
    const candidate = this.#workers[worker];
    if (outcome === "failed") {
      this.#failedLoad.keep(lease, MODEL);
      if (candidate) this.#noteFailure(candidate);
    } else {
      lease[Symbol.dispose]();
    }
    if (outcome === "answered") {
      this.#failedLoad.answered(MODEL, chargedAt);
      if (candidate) candidate.failures = 0;
    }
    picked?.onEnd?.({ outcome, ms: this.#time.now() - chargedAt, usage });
  }

  #noteFailure(candidate: SimCandidate): void {
    candidate.failures += 1;
    if (candidate.failures !== LEFT_OUT_AFTER) return;
    this.#know([...this.#prefillers, ...this.#answerers].filter((one) => one !== candidate));
  }
}

function without(candidates: readonly SimCandidate[], lost: ReadonlySet<number>): readonly SimCandidate[] {
  return lost.size === 0 ? candidates : candidates.filter(({ slot }) => !lost.has(slot));
}

function asPicked(picked: number | Picked): Picked {
  return typeof picked === "number" ? { index: picked } : picked;
}
