import type { WorkerTlsSpec } from "../transport/tls/worker-tls.ts";
import type { Secret } from "../util/secret.ts";
import type { WorkerType } from "../util/worker-type.ts";

/** Label that names the folder of a worker's tokenizer; without it the worker is asked for its tokenizer. */
export const TOKENIZER_PATH_LABEL = "tokenizer_path";

/** The description of one worker by its source: a file, the command line or the API. */
export interface WorkerSpec {
  /** Origin: scheme, host and port, no path, no trailing slash. The scheme says whether the worker speaks HTTP or gRPC. */
  readonly url: string;
  /** Name of the source that wants this worker (`worker-source.ts`). */
  readonly source: string;
  /** The worker's model; where absent, the worker is asked. `*`: any model, in addition to those that it lists. */
  readonly modelId: string | undefined;
  /** Sent to the worker as `Authorization: Bearer`. */
  readonly apiKey: Secret | undefined;
  readonly workerType: WorkerType;
  /** For a prefill worker: the port where decode workers fetch its KV cache. */
  readonly bootstrapPort: number | undefined;
  /** Policy for this worker's model. The first worker of a model decides. */
  readonly policyHint: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Workers with the highest priority get all requests, as long as one of them can take them. */
  readonly priority: number;
  /** For policy modules and tools; no built-in policy uses it. */
  readonly cost: number;
  /** The worker gets no new request, and finishes those that it has: the operator or its platform wants it so. */
  readonly isCordoned: boolean;
  /** Prompt tokens that all of the address's ranks together keep for later requests, with their host tiers; without it the worker's own report counts. */
  readonly kvCapacityTokens: number | undefined;
  /** Health settings of this worker that differ from the configured ones. */
  readonly health: Partial<HealthSettings>;
  /** Where its engine publishes KV events; undefined: where the configuration says it for all workers; `false`: nowhere. */
  readonly kvEvents: KvEventsSpec | false | undefined;
  /** How its TLS differs from that of the other workers; undefined: not at all. */
  readonly tls: WorkerTlsSpec | undefined;
  /**
   * Most data-parallel ranks behind the address that are workers of their own, 1 to 1024. 1: none, the engine spreads requests over its ranks.
   * Undefined: as the configuration says for all workers.
   */
  readonly dpSize: number | undefined;
}

/** Where an engine publishes what its KV cache holds, over ZeroMQ. In each text `{host}` and `{port}` stand for those of the worker's address. */
export interface KvEventsSpec {
  /** `tcp://HOST:PORT` where the engine waits, `@tcp://HOST:PORT` or `tcp://*:PORT` where the gateway waits. */
  readonly endpoint: string;
  /** Where earlier batches can be asked for; undefined: nowhere. */
  readonly replayEndpoint: string | undefined;
  /** The wanted topics begin with this. */
  readonly topic: string;
  /** Data-parallel ranks, each of which has the next port. */
  readonly ranks: number;
}

export interface HealthSettings {
  readonly endpoint: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failed probes in a row that take a ready worker out. */
  readonly failureThreshold: number;
  /** Answered probes in a row that bring it back. */
  readonly successThreshold: number;
  readonly disabled: boolean;
}

/** How all workers are probed. */
export interface ProbingSettings {
  /** For workers without settings of their own. */
  readonly defaults: HealthSettings;
  /** Time between probes of a worker that has not answered yet, ms. */
  readonly startupIntervalMs: number;
  /** A new worker that has not answered for this time counts as failed, ms. The probes go on. */
  readonly startupTimeoutMs: number;
  /** Model of workers that do not say what they serve. */
  readonly modelFallback: string | undefined;
}

/** Source of the workers that callers of the administration API added. */
export const API_SOURCE = "api";

/** The spec of a worker with only an address. Priority and cost have smg's defaults. */
export const DEFAULT_SPEC: Omit<WorkerSpec, "url"> = {
  source: API_SOURCE,
  modelId: undefined,
  apiKey: undefined,
  workerType: "regular",
  bootstrapPort: undefined,
  policyHint: undefined,
  labels: {},
  priority: 50,
  cost: 1,
  isCordoned: false,
  kvCapacityTokens: undefined,
  health: {},
  kvEvents: undefined,
  tls: undefined,
  dpSize: undefined,
};

/** Whether two specs of a worker are equal, including their source. */
export function isSameSpec(a: WorkerSpec, b: WorkerSpec): boolean {
  if (a === b) return true;
  return (
    a.url === b.url &&
    a.source === b.source &&
    a.bootstrapPort === b.bootstrapPort &&
    a.policyHint === b.policyHint &&
    a.priority === b.priority &&
    a.cost === b.cost &&
    a.isCordoned === b.isCordoned &&
    a.kvCapacityTokens === b.kvCapacityTokens &&
    a.dpSize === b.dpSize &&
    haveSameEntries(a.labels, b.labels) &&
    isSameSource(a.kvEvents, b.kvEvents) &&
    isProbedAlike(a, b)
  );
}

/** Whether probes of the worker are equal under both specs. If so, a change between them keeps the results of earlier probes. */
export function isProbedAlike(a: WorkerSpec, b: WorkerSpec): boolean {
  return (
    a.modelId === b.modelId &&
    a.workerType === b.workerType &&
    a.apiKey?.reveal() === b.apiKey?.reveal() &&
    isSameTls(a.tls, b.tls) &&
    haveSameEntries(a.health, b.health)
  );
}

/** Whether a worker is spoken to with the same certificates. */
export function isSameTls(a: WorkerSpec["tls"], b: WorkerSpec["tls"]): boolean {
  return a && b ? haveSameEntries({ ...a }, { ...b }) : a === b;
}

/** Whether KV events come from the same place. */
export function isSameSource(a: WorkerSpec["kvEvents"], b: WorkerSpec["kvEvents"]): boolean {
  return a && b ? haveSameEntries({ ...a }, { ...b }) : a === b;
}

function haveSameEntries(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && a[key] === b[key]);
}
