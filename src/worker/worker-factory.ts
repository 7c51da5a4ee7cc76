import { GatewayError } from "../errors/errors.ts";
import { parseWorkerUrl } from "../util/parse-worker-url.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { Rank } from "./rank-table.ts";
import { Worker, type WorkerInfo } from "./worker.ts";
import { DEFAULT_SPEC, type WorkerSpec } from "./worker-spec.ts";

export interface WorkerFactoryDeps {
  readonly ledger: LoadLedger;
}

/** Facts of a worker that has said nothing. */
export const UNKNOWN_INFO: WorkerInfo = {
  models: [],
  cards: [],
  engine: undefined,
  engineVersion: undefined,
  maxModelLen: undefined,
  kvCapacityTokens: undefined,
  startedAt: undefined,
  kv: undefined,
};

/** Makes workers, each with a row in the ledger. They are `pending` until they have answered a probe. */
export class WorkerFactory {
  readonly #deps: WorkerFactoryDeps;

  constructor(deps: WorkerFactoryDeps) {
    this.#deps = deps;
  }

  /**
   * Makes a worker from its address and the known parts of its spec; with `rank`, one for this rank of the address. Throws invalid_request
   * for an invalid address, and where the ledger has no row left.
   */
  createFromUrl(url: string, said: Partial<WorkerSpec> = {}, rank?: Rank): Worker {
    const { ledger } = this.#deps;
    const spec = { ...DEFAULT_SPEC, ...said, url: originOf(url) };
    return new Worker({
      id: Bun.randomUUIDv7(),
      spec,
      rank,
      status: "pending",
      statusSince: Date.now(),
      info: UNKNOWN_INFO,
      breakerState: "closed",
      restUntil: undefined,
      trouble: undefined,
      lastError: undefined,
      slowStart: undefined,
      slot: ledger.acquireSlot(),
      ledger,
    });
  }
}

/** Turns a worker's address into an origin, the registry's form. Throws invalid_request for an invalid address. */
export function originOf(url: string): string {
  const parsed = parseWorkerUrl(url);
  if (parsed.ok) return parsed.url;
  throw new GatewayError("invalid_request", `the worker's url is wrong: ${parsed.reason}`, { param: "url" });
}
