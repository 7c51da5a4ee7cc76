import type { Secret } from "../util/secret.ts";
import type { WorkerType } from "../util/worker-type.ts";

/** Label that names the folder of a worker's tokenizer, where it is not to be asked for its own. */
export const TOKENIZER_PATH_LABEL = "tokenizer_path";

/** What a source of workers (a file, the command line, the API) says of one worker. */
export interface WorkerSpec {
  /** Origin: scheme, host and port, no path, no trailing slash. The scheme says whether the worker speaks HTTP or gRPC. */
  readonly url: string;
  /** Name of the source that wants this worker (`worker-source.ts`). */
  readonly source: string;
  /** The model it serves; asked from the worker where absent. `*`: any model that a request names, besides those that it lists. */
  readonly modelId: string | undefined;
  /** Sent to the worker as `Authorization: Bearer`. */
  readonly apiKey: Secret | undefined;
  readonly workerType: WorkerType;
  /** Of a prefill worker: port of the server at which decode workers ask for its KV cache. */
  readonly bootstrapPort: number | undefined;
  /** Policy that this worker's model should have (the first worker of a model decides). */
  readonly policyHint: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** For policies of the operator's and tools that read it; no built-in policy uses it, nor `cost`. */
  readonly priority: number;
  readonly cost: number;
  /** Where this worker's health checks differ from the configured ones. */
  readonly health: Partial<HealthSettings>;
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

/** Source of the workers that callers of the administration have added. */
export const API_SOURCE = "api";

/** A worker of which only the address is given. Priority and cost are what smg takes where nothing is said. */
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
  health: {},
};

/** Whether two sources, or one source twice, say the same of a worker. Who says it counts as well. */
export function isSameSpec(a: WorkerSpec, b: WorkerSpec): boolean {
  if (a === b) return true;
  return (
    a.url === b.url &&
    a.source === b.source &&
    a.bootstrapPort === b.bootstrapPort &&
    a.policyHint === b.policyHint &&
    a.priority === b.priority &&
    a.cost === b.cost &&
    haveSameEntries(a.labels, b.labels) &&
    isProbedAlike(a, b)
  );
}

/** Whether probes of the worker ask the same: if so, a change from one to the other does not put in question what they have found. */
export function isProbedAlike(a: WorkerSpec, b: WorkerSpec): boolean {
  return (
    a.modelId === b.modelId &&
    a.workerType === b.workerType &&
    a.apiKey?.reveal() === b.apiKey?.reveal() &&
    haveSameEntries(a.health, b.health)
  );
}

function haveSameEntries(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && a[key] === b[key]);
}
