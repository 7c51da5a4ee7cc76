import { GatewayError } from "../errors/errors.ts";
import { parseWorkerUrl } from "../util/parse-worker-url.ts";
import type { LoadLedger } from "./load-ledger.ts";
import { Worker, type WorkerInfo } from "./worker.ts";
import { DEFAULT_SPEC, type WorkerSpec } from "./worker-spec.ts";

export interface WorkerFactoryDeps {
  readonly ledger: LoadLedger;
}

/** Of a worker that nobody has asked yet. */
const UNKNOWN_INFO: WorkerInfo = {
  models: [],
  cards: [],
  engine: undefined,
  engineVersion: undefined,
  maxModelLen: undefined,
  kv: undefined,
};

/** Makes workers, each with a row in the ledger. They are `pending` until they have answered a probe. */
export class WorkerFactory {
  readonly #deps: WorkerFactoryDeps;

  constructor(deps: WorkerFactoryDeps) {
    this.#deps = deps;
  }

  /**
   * A worker of which the address is given and as much else as is known. Throws invalid_request where the address is none, or
   * where the ledger has no row left.
   */
  createFromUrl(url: string, said: Partial<WorkerSpec> = {}): Worker {
    const { ledger } = this.#deps;
    const spec = { ...DEFAULT_SPEC, ...said, url: originOf(url) };
    return new Worker({
      id: Bun.randomUUIDv7(),
      spec,
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

/** The address of a worker as an origin, as the registry has it. Throws invalid_request where it is none. */
export function originOf(url: string): string {
  const parsed = parseWorkerUrl(url);
  if (parsed.ok) return parsed.url;
  throw new GatewayError("invalid_request", `the worker's url is wrong: ${parsed.reason}`, { param: "url" });
}
