import type { FetchHealth } from "./probe-client.ts";
import type { ConnectionMode, HealthSettings, Worker, WorkerInfo } from "./worker.ts";
import { askWorker, type FetchJson } from "./worker-probe.ts";

/** How workers of one kind are asked whether they live, and what they are. Neither question throws. */
export interface WorkerProber {
  isHealthy(worker: Worker, settings: HealthSettings): Promise<boolean>;
  /** `modelFallback`: what the model is taken to be where the worker does not say. */
  ask(worker: Worker, settings: HealthSettings, modelFallback: string | undefined): Promise<WorkerInfo>;
}

export type WorkerProbers = Readonly<Record<ConnectionMode, WorkerProber>>;

/** Pages of an HTTP server. */
export function createHttpProber(fetchHealth: FetchHealth, fetchJson: FetchJson): WorkerProber {
  return {
    isHealthy: ({ url, spec }, { endpoint, timeoutMs }) => fetchHealth(`${url}${endpoint}`, spec.apiKey, timeoutMs),
    ask: ({ url, spec }, { timeoutMs }, modelFallback) =>
      askWorker({ url, apiKey: spec.apiKey, timeoutMs, workerType: spec.workerType, modelFallback }, fetchJson),
  };
}
