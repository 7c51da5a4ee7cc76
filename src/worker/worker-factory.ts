import { GatewayError } from "../errors/errors.ts";
import { parseWorkerUrl } from "../util/parse-worker-url.ts";
import type { LoadLedger } from "./load-ledger.ts";
import { Worker, type WorkerInfo, type WorkerSpec } from "./worker.ts";

export interface WorkerFactoryDeps {
  readonly ledger: LoadLedger;
}

/** Nothing is known yet. */
const UNKNOWN_INFO: WorkerInfo = {
  models: [],
  cards: [],
  engine: undefined,
  engineVersion: undefined,
  maxModelLen: undefined,
  kv: undefined,
};

/** Makes workers, with a row in the ledger. What it makes is `pending` until it has been probed. */
export class WorkerFactory {
  readonly #deps: WorkerFactoryDeps;

  constructor(deps: WorkerFactoryDeps) {
    this.#deps = deps;
  }

  /** From an address alone, as on the command line. Throws invalid_request. */
  createFromUrl(url: string): Worker {
    return this.create({ ...DEFAULT_SPEC, url });
  }

  /** What is said of a worker, with what follows from its address. Throws invalid_request where that is none. */
  specOf(spec: WorkerSpec): WorkerSpec {
    const parsed = parseWorkerUrl(spec.url);
    if (!parsed.ok)
      throw new GatewayError("invalid_request", `the worker's url is wrong: ${parsed.reason}`, { param: "url" });
    return { ...spec, url: parsed.url };
  }

  /** Throws invalid_request where the address is none. */
  create(spec: WorkerSpec): Worker {
    const { ledger } = this.#deps;
    return new Worker({
      id: Bun.randomUUIDv7(),
      spec: this.specOf(spec),
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

/** A worker of which only the address is given. Priority and cost are what smg takes where nothing is said. */
export const DEFAULT_SPEC: Omit<WorkerSpec, "url"> = {
  modelId: undefined,
  apiKey: undefined,
  workerType: "regular",
  bootstrapPort: undefined,
  policyHint: undefined,
  labels: {},
  priority: 50,
  cost: 1,
  health: {},
};
