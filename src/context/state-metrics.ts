import type { WorkerSources } from "../worker/sources/worker-sources.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { CacheTrusts } from "../router/cache-trusts.ts";
import type { BreakerState } from "../worker/circuit-breaker.ts";
import type { PolicyRegistry } from "../policy/policy-registry.ts";
import { SESSION_OUTCOMES } from "../policy/session-table.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { VERSION } from "../util/version.ts";

const BREAKER_VALUES: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 };

export interface StateMetricsDeps {
  readonly metrics: Metrics;
  readonly workerRegistry: WorkerRegistry;
  readonly policyRegistry: Pick<PolicyRegistry, "sessionTables" | "signals">;
  readonly outcomes: { readonly panicking: Iterable<string> };
  readonly cacheTrusts: Pick<CacheTrusts, "of">;
  readonly workerSources: Pick<WorkerSources, "list">;
}

/**
 * Exposes gauges of the current state. They are read at each scrape, so requests count nothing for them. The series of a worker are
 * removed when it leaves. The returned function ends that.
 */
export function exposeState({
  metrics,
  workerRegistry,
  policyRegistry,
  outcomes,
  cacheTrusts,
  workerSources,
}: StateMetricsDeps): () => void {
  const worker = (url: string): string => metrics.bounded("worker", url);
  metrics.read("inFlight", (set) => {
    for (const { modelId, url, requestsInFlight } of workerRegistry.all()) {
      set({ model: metrics.bounded("model", modelId), worker: worker(url) }, requestsInFlight);
    }
  });
  metrics.read("workers", (set) => {
    const counts = new Map<string, number>();
    for (const { status } of workerRegistry.all()) counts.set(status, (counts.get(status) ?? 0) + 1);
    for (const status of ["pending", "ready", "not_ready", "failed", "draining"])
      set({ status }, counts.get(status) ?? 0);
  });
  metrics.read("breakerState", (set) => {
    for (const { url, breakerState } of workerRegistry.all()) {
      set({ worker: worker(url) }, BREAKER_VALUES[breakerState]);
    }
  });
  metrics.read("workerUp", (set) => {
    for (const { url, isUp } of workerRegistry.all()) set({ worker: worker(url) }, isUp ? 1 : 0);
  });
  metrics.read("cacheTrust", (set) => {
    for (const one of workerRegistry.all()) {
      const trust = cacheTrusts.of(one);
      if (trust !== undefined) set({ worker: worker(one.url) }, trust);
    }
  });
  metrics.read("workersOut", (set) => {
    for (const { url, status, trouble, spec } of workerRegistry.all()) {
      if (spec.isCordoned && status === "ready") set({ worker: worker(url), reason: "cordoned" }, 1);
      if (trouble && status === "ready") set({ worker: worker(url), reason: trouble.reason }, 1);
    }
  });
  metrics.read("sourceUp", (set) => {
    for (const { name, state } of workerSources.list()) set({ source: name }, state === "ready" ? 1 : 0);
  });
  metrics.read("sourceHeard", (set) => {
    for (const { name, silentMs } of workerSources.list()) {
      if (silentMs !== undefined) set({ source: name }, (Date.now() - silentMs) / 1000);
    }
  });
  metrics.read("panic", (set) => {
    for (const model of outcomes.panicking) set({ model: metrics.bounded("model", model) }, 1);
  });
  exposePolicies(metrics, policyRegistry);
  metrics.read("residentBytes", (set) => set({}, process.memoryUsage.rss()));
  metrics.read("cpuSeconds", (set) => {
    const { user, system } = process.cpuUsage();
    set({}, (user + system) / 1_000_000);
  });
  metrics.read("buildInfo", (set) => set({ version: VERSION }, 1));
  return workerRegistry.onChange((before, after) => {
    if (before && !after) metrics.release("worker", before.url);
  });
}

/** The sessions that are remembered, and the signals that policies use. The counts of all threads are in one memory. */
function exposePolicies(metrics: Metrics, policies: StateMetricsDeps["policyRegistry"]): void {
  const labels = (model: string, role: string): { readonly model: string; readonly role: string } => ({
    model: metrics.bounded("model", model || "unknown"),
    role,
  });
  metrics.read("sessions", (set) => {
    for (const { model, role, size } of policies.sessionTables()) set(labels(model, role), size());
  });
  metrics.read("sessionRequests", (set) => {
    for (const { model, role, table } of policies.sessionTables()) {
      for (const outcome of SESSION_OUTCOMES) set({ ...labels(model, role), outcome }, table.outcomes(outcome));
    }
  });
  metrics.read("policyLacks", (set) => {
    for (const { model, role, policy, signal, isMissing } of policies.signals()) {
      if (isMissing) set({ ...labels(model, role), policy, signal }, 1);
    }
  });
  metrics.read("policyWithout", (set) => {
    for (const { model, role, policy, signal, without } of policies.signals()) {
      set({ ...labels(model, role), policy, signal }, without);
    }
  });
}
