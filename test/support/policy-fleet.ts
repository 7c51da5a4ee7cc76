import type { PolicyRow } from "../../src/policy/define-policy.ts";
import type {
  Candidate,
  PickOutcome,
  Picked,
  PickUsage,
  Policy,
  PolicyParts,
  RequestFeatures,
} from "../../src/policy/policy.ts";
import { type Lease, LoadLedger } from "../../src/worker/load-ledger.ts";
import type { WorkerType } from "../../src/util/worker-type.ts";
import { idleCandidate, requestWith } from "./candidates.ts";

/** Workers of a policy's test: their counts are those of a real ledger. */
export interface PolicyFleetOptions {
  readonly workers: number;
  readonly role?: WorkerType;
  /** By worker; undefined for one that does not say. */
  readonly kvCapacityTokens?: (worker: number) => number | undefined;
}

/** A gateway around a policy: its ledger, its clock, and its requests as they are sent and answered. */
export class PolicyFleet {
  readonly ledger: LoadLedger;
  readonly candidates: readonly Candidate[];
  /** Time of all threads, ms. */
  nowMs = 1000;
  readonly #memories: SharedArrayBuffer[] = [];

  constructor({ workers, role = "regular", kvCapacityTokens }: PolicyFleetOptions) {
    const ledger = new LoadLedger();
    this.ledger = ledger;
    this.candidates = Array.from({ length: workers }, (_, worker): Candidate => {
      const slot = ledger.acquireSlot();
      return {
        ...idleCandidate(slot),
        role,
        kvCapacityTokens: kvCapacityTokens?.(worker),
        get inFlight() {
          return ledger.load(slot);
        },
        get pendingPromptTokens() {
          return ledger.pendingPromptTokens(slot) + ledger.failedPromptTokens(slot);
        },
        get decoding() {
          return ledger.decoding(slot);
        },
        get contextTokens() {
          return ledger.contextTokens(slot);
        },
      };
    });
  }

  /** An instance of a policy; all of one fleet share their memory, as threads do. */
  create(row: Pick<PolicyRow, "create">, parts: Partial<PolicyParts> = {}): Policy {
    return row.create(
      {},
      {
        memory: (bytes) => (this.#memories[0] ??= new SharedArrayBuffer(bytes)),
        random: Math.random,
        now: () => this.nowMs,
        thread: 0,
        threads: 1,
        ...parts,
      },
    );
  }

  /** Sends a request where the policy chooses. */
  send(policy: Policy, request: RequestFeatures, among: readonly Candidate[] = this.candidates): SentRequest {
    const picked = policy.pick(among, request);
    const index = typeof picked === "number" ? picked : picked.index;
    const worker = among[index];
    if (!worker) throw new Error("the policy chose nobody");
    return new SentRequest(this, worker, typeof picked === "number" ? { index } : picked, request.promptTokens);
  }

  /** Sends a request where it was decided. */
  sent(among: readonly Candidate[], picked: Picked, { promptTokens }: RequestFeatures): SentRequest {
    const worker = among[picked.index];
    if (!worker) throw new Error("the policy chose nobody");
    return new SentRequest(this, worker, picked, promptTokens);
  }
}

/** A request that was sent. */
export class SentRequest {
  readonly slot: number;
  readonly picked: Picked;
  readonly #fleet: PolicyFleet;
  readonly #lease: Lease;
  readonly #sentAtMs: number;

  constructor(fleet: PolicyFleet, worker: Candidate, picked: Picked, promptTokens: number) {
    this.slot = worker.slot;
    this.picked = picked;
    this.#fleet = fleet;
    this.#sentAtMs = fleet.nowMs;
    this.#lease = fleet.ledger.charge(
      worker.slot,
      picked.chargeTokens ?? promptTokens,
      picked.contextTokens ?? promptTokens,
    );
  }

  firstToken(): this {
    this.#lease.prefillDone();
    this.picked.onFirstToken?.(this.#fleet.nowMs - this.#sentAtMs);
    return this;
  }

  /** Another token of the stream has come. */
  piece(): void {
    this.picked.onPiece?.(this.#fleet.nowMs - this.#sentAtMs);
  }

  /** Fails the request, whose load the gateway keeps. */
  fail(): this {
    this.#lease.fail();
    this.picked.onEnd?.({ outcome: "failed", ms: this.#fleet.nowMs - this.#sentAtMs, usage: undefined });
    return this;
  }

  /** Gives the load back, as the ledger does for a thread that died: the policy hears nothing. */
  vanish(): void {
    this.#lease[Symbol.dispose]();
  }

  end(outcome: PickOutcome = "answered", usage: Partial<PickUsage> = {}): this {
    this.#lease[Symbol.dispose]();
    const ms = this.#fleet.nowMs - this.#sentAtMs;
    const { promptTokens, completionTokens, cachedTokens } = usage;
    this.picked.onEnd?.({ outcome, ms, usage: { promptTokens, completionTokens, cachedTokens } });
    return this;
  }
}

/** A request for an answer in a stream whose prompt is the given texts, one after the other. */
export function streamOf(...texts: readonly string[]): RequestFeatures {
  const prompt = Buffer.from(texts.join(""));
  return requestWith({ isStream: true, promptTokens: Math.ceil(prompt.length / 4), promptBytes: () => prompt });
}

/** Text of so many bytes; equal seeds give equal text. */
export function text(seed: string, bytes: number): string {
  return `${seed} `.repeat(Math.ceil(bytes / (seed.length + 1))).slice(0, bytes);
}
