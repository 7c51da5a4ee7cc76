import type { Candidate, Picked, Policy, PolicyNews, PolicyParts } from "../policy/policy.ts";
import { LoadLedger, type Lease } from "../worker/load-ledger.ts";
import { FailedLoad } from "../worker/failed-load.ts";
import type { FleetView } from "./driver-fleet.ts";
import { MODEL, type SimFeatures } from "./driver-request.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** The parts for an instance of a policy in a simulation: what the product gives it, and the fleet for those that look into engines. */
export interface SimPolicyParts extends PolicyParts {
  readonly fleet: FleetView;
}

/** A policy to judge: one of the product, or a baseline. */
export interface SimPolicy {
  readonly name: string;
  /** Makes an instance for one gateway. */
  create(parts: SimPolicyParts): Policy;
}

/** Failures in a row after which a gateway leaves a worker out. */
const LEFT_OUT_AFTER = 3;

/** A worker as the policies of one gateway see it, with the counts of that gateway's own ledger. */
class SimCandidate implements Candidate {
  readonly id: string;
  readonly url: string;
  readonly slot: number;
  readonly modelId = MODEL;
  readonly role = "regular";
  readonly labels = {};
  readonly priority = 50;
  readonly cost = 1;
  readonly kvCapacityTokens: number | undefined;
  failures = 0;
  readonly #ledger: LoadLedger;

  constructor(slot: number, kvCapacityTokens: number | undefined, ledger: LoadLedger) {
    this.id = `w${slot}`;
    this.url = `http://w${slot}:8000`;
    this.slot = slot;
    this.kvCapacityTokens = kvCapacityTokens;
    this.#ledger = ledger;
  }

  get inFlight(): number {
    return this.#ledger.load(this.slot);
  }

  get pendingPromptTokens(): number {
    return this.#ledger.pendingPromptTokens(this.slot) + this.#ledger.failedPromptTokens(this.slot);
  }

  get decoding(): number {
    return this.#ledger.decoding(this.slot);
  }

  get contextTokens(): number {
    return this.#ledger.contextTokens(this.slot);
  }
}

/** A worker that a gateway has chosen. */
export interface SimChoice {
  readonly worker: number;
  readonly picked: Picked | undefined;
  /** Time that the policy took on this machine, us. */
  readonly decisionUs: number;
}

/** Makes a gateway. */
export interface GatewayOptions {
  readonly name: string;
  readonly policy: SimPolicy;
  readonly fleet: FleetView;
  readonly time: VirtualTime;
  readonly random: () => number;
  /** By worker: what it says of its KV cache, tokens; undefined for one that says nothing. */
  readonly kvCapacityTokens: readonly (number | undefined)[];
  /** Carries news to the other gateways; undefined where they are blind. */
  readonly tell: ((news: PolicyNews) => void) | undefined;
}

/** One gateway: the product's policy and ledger, and the workers that it knows. */
export class SimGateway {
  readonly name: string;
  readonly policy: Policy;
  readonly #ledger = new LoadLedger();
  readonly #failedLoad: FailedLoad;
  /** All workers of the fleet by their slots, known or not. */
  readonly #workers: readonly SimCandidate[];
  /** Replaced when the set changes, as the product does it. */
  #candidates: readonly SimCandidate[] = [];

  constructor({ name, policy, fleet, time, random, kvCapacityTokens, tell }: GatewayOptions) {
    this.name = name;
    this.#failedLoad = new FailedLoad(time);
    this.#workers = kvCapacityTokens.map(
      (tokens) => new SimCandidate(this.#ledger.acquireSlot(), tokens, this.#ledger),
    );
    this.policy = policy.create({
      memory: (bytes) => new SharedArrayBuffer(bytes),
      random,
      now: () => time.now(),
      thread: 0,
      threads: 1,
      tell,
      fleet,
    });
  }

  /** Learns of a worker. */
  join(worker: number): void {
    this.#candidates = this.#workers.filter((one) => one.slot === worker || this.#candidates.includes(one));
  }

  /** Learns that a worker was restarted. */
  restarted(worker: number): void {
    this.policy.forget?.(`w${worker}`, worker);
  }

  /** Hears of another gateway's request. */
  hear(news: PolicyNews): void {
    this.policy.hear?.(news, this.#candidates);
  }

  /** Chooses a worker; undefined where no worker can be chosen. */
  choose(request: SimFeatures, lost: ReadonlySet<number>): SimChoice | undefined {
    const candidates = lost.size === 0 ? this.#candidates : this.#candidates.filter(({ slot }) => !lost.has(slot));
    if (candidates.length === 0) return undefined;
    const startedAt = Bun.nanoseconds();
    const choice = this.policy.pick(candidates, request);
    const decisionUs = (Bun.nanoseconds() - startedAt) / 1000;
    const picked = typeof choice === "number" ? undefined : choice;
    const worker = candidates[typeof choice === "number" ? choice : choice.index]?.slot;
    return worker === undefined ? undefined : { worker, picked, decisionUs };
  }

  /** Counts a request as the product does. */
  charge(worker: number, picked: Picked | undefined, request: SimFeatures): Lease {
    const { promptTokens } = request;
    return this.#ledger.charge(worker, picked?.chargeTokens ?? promptTokens, picked?.contextTokens ?? promptTokens);
  }

  /** The worker has answered a request that was charged at this time. */
  answered(worker: number, lease: Lease, chargedAt: number): void {
    lease[Symbol.dispose]();
    this.#failedLoad.answered(MODEL, chargedAt);
    const candidate = this.#workers[worker];
    if (candidate) candidate.failures = 0;
  }

  /** The worker has failed. After a few failures in a row it is left out. */
  failed(worker: number, lease: Lease): void {
    this.#failedLoad.keep(lease, MODEL);
    const candidate = this.#workers[worker];
    if (!candidate) return;
    candidate.failures += 1;
    if (candidate.failures === LEFT_OUT_AFTER) this.#candidates = this.#candidates.filter((one) => one !== candidate);
  }
}
