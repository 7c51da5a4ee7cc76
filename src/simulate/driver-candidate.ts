import type { Candidate } from "../policy/policy.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { LoadLedger } from "../worker/load-ledger.ts";
import { MODEL } from "./driver-request.ts";

/** A worker as the policies of one gateway see it, with the counts of that gateway's own ledger. */
export class SimCandidate implements Candidate {
  readonly id: string;
  readonly url: string;
  readonly slot: number;
  readonly modelId = MODEL;
  readonly role: WorkerType;
  readonly labels = {};
  readonly priority = 50;
  readonly cost = 1;
  readonly kvCapacityTokens: number | undefined;
  /** Failures in a row. */
  failures = 0;
  readonly #ledger: LoadLedger;

  constructor(
    slot: number,
    worker: { readonly role: WorkerType; readonly kvCapacityTokens: number | undefined },
    ledger: LoadLedger,
  ) {
    this.id = `w${slot}`;
    this.url = `http://w${slot}:8000`;
    this.slot = slot;
    this.role = worker.role;
    this.kvCapacityTokens = worker.kvCapacityTokens;
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
