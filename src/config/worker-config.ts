import { canonicalPolicy } from "../policy/policy-names.ts";
import type { WorkerSpec } from "../worker/worker-spec.ts";
import type { WorkerConfig } from "./schema.ts";

const MS = 1000;

/** Turns a worker of the file, a flag or an API body into the registry's shape and units. */
export function specOf(worker: WorkerConfig, source: string): WorkerSpec {
  return {
    url: worker.url,
    source,
    modelId: worker.modelId,
    apiKey: worker.apiKey,
    workerType: worker.workerType,
    bootstrapPort: worker.bootstrapPort,
    policyHint: worker.policy ?? labelledPolicy(worker.labels),
    labels: worker.labels,
    priority: worker.priority,
    cost: worker.cost,
    isCordoned: worker.cordoned,
    kvCapacityTokens: worker.kvCapacityTokens,
    health: healthOf(worker.health),
    kvEvents: kvEventsOf(worker.kvEvents),
    tls: worker.tls,
    dpSize: worker.dpSize,
  };
}

/** Where a worker publishes KV events, in the registry's shape. */
export function kvEventsOf(given: WorkerConfig["kvEvents"]): WorkerSpec["kvEvents"] {
  return given ? { ...given, replayEndpoint: given.replayEndpoint } : given;
}

/** The policy that a label names, as in other gateways. */
export function labelledPolicy(labels: WorkerConfig["labels"]): string | undefined {
  const label = labels["policy"];
  return label === undefined ? undefined : canonicalPolicy(label);
}

/** The given health settings only, so that they can override others. */
export function healthOf(health: WorkerConfig["health"]): WorkerSpec["health"] {
  const { endpoint, checkIntervalSecs, timeoutSecs, failureThreshold, successThreshold, disableHealthCheck } = health;
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(checkIntervalSecs === undefined ? {} : { intervalMs: checkIntervalSecs * MS }),
    ...(timeoutSecs === undefined ? {} : { timeoutMs: timeoutSecs * MS }),
    ...(failureThreshold === undefined ? {} : { failureThreshold }),
    ...(successThreshold === undefined ? {} : { successThreshold }),
    ...(disableHealthCheck === undefined ? {} : { disabled: disableHealthCheck }),
  };
}
