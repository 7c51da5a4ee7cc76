import { canonicalPolicy } from "../policy/policies.ts";
import type { WorkerSpec } from "../worker/worker-spec.ts";
import type { WorkerConfig } from "./schema.ts";

const MS = 1000;

/** A worker as the file, a flag or a body of the API describes it, in the shape and units of the registry. */
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
    health: healthOf(worker.health),
  };
}

/** The policy that a label names: other gateways take the hint there. */
export function labelledPolicy(labels: WorkerConfig["labels"]): string | undefined {
  const label = labels["policy"];
  return label === undefined ? undefined : canonicalPolicy(label);
}

/** Only the settings that are given, so that they can be laid over others. */
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
