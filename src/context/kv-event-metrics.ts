import type { KvEvents } from "../kv-events/kv-events.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";

export interface KvEventMetricsDeps {
  readonly metrics: Metrics;
  readonly workerRegistry: Pick<WorkerRegistry, "get">;
  readonly kvEvents: Pick<KvEvents, "views">;
}

type View = ReturnType<KvEvents["views"]> extends Generator<[string, infer V]> ? V : never;

/** Exposes what is known of the workers' KV events, as it is at each scrape. */
export function exposeKvEvents({ metrics, workerRegistry, kvEvents }: KvEventMetricsDeps): void {
  const each = (valueOf: (view: View) => number) => (set: (labels: { worker: string }, value: number) => void) => {
    for (const [id, view] of kvEvents.views()) {
      const url = workerRegistry.get(id)?.url;
      if (url !== undefined) set({ worker: metrics.bounded("worker", url) }, valueOf(view));
    }
  };
  metrics.read(
    "kvEventsExact",
    each(({ state }) => (state === "exact" ? 1 : 0)),
  );
  metrics.read(
    "kvEventBatches",
    each(({ batches }) => batches),
  );
  metrics.read(
    "kvEventGaps",
    each(({ gaps }) => gaps),
  );
  metrics.read(
    "kvEventRestarts",
    each(({ restarts }) => restarts),
  );
  metrics.read(
    "kvEventBlocks",
    each(({ blocks }) => blocks),
  );
  metrics.read(
    "kvEventBytes",
    each(({ bytes }) => bytes),
  );
}
