import type { ProbeClient, ProbeFailure } from "./probe-client.ts";
import type { ConnectionMode } from "../util/parse-worker-url.ts";
import type { Worker, WorkerInfo } from "./worker.ts";
import type { HealthSettings } from "./worker-spec.ts";
import { askWorker, listingOf } from "./worker-probe.ts";

/** What a worker says of itself, and what could not be learnt. */
export interface WorkerFacts {
  readonly info: WorkerInfo;
  /** What it lists, as one text: when the text is another, the worker has to be asked anew. */
  readonly listing: string | undefined;
  /** Why its models are not known yet; undefined where it said them, or has no page that does. */
  readonly missing: ProbeFailure | undefined;
}

/** How workers of one kind are asked whether they live, and what they are. No question throws. */
export interface WorkerProber {
  /** Why it is not well; undefined where it is. */
  health(worker: Worker, settings: HealthSettings): Promise<ProbeFailure | undefined>;
  /** `modelFallback`: what the model is taken to be where the worker does not say. */
  ask(worker: Worker, settings: HealthSettings, modelFallback: string | undefined): Promise<WorkerFacts>;
  /** What it lists now; undefined where that cannot be had. */
  listing(worker: Worker, settings: HealthSettings): Promise<string | undefined>;
}

export type WorkerProbers = Readonly<Record<ConnectionMode, WorkerProber>>;

/** Pages of an HTTP server. */
export function createHttpProber(client: ProbeClient): WorkerProber {
  return {
    health: ({ url, spec }, { endpoint, timeoutMs }) =>
      client.health({ origin: url, path: endpoint, apiKey: spec.apiKey, timeoutMs }),
    ask: ({ url, spec }, { timeoutMs }, modelFallback) =>
      askWorker({ url, apiKey: spec.apiKey, timeoutMs, workerType: spec.workerType, modelFallback }, client),
    listing: ({ url, spec }, { timeoutMs }) => listingOf({ url, apiKey: spec.apiKey, timeoutMs }, client),
  };
}
