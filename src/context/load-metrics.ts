import type { EngineLoad } from "../engine/engine-load.ts";
import type { Fleet } from "../engine/fleet.ts";
import { LoadWatch } from "../engine/load-watch.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Clock } from "../util/clock.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";

/** Waiting requests at which an engine is full, and the share of its KV cache: the defaults of llm-d's utilization detector. */
const FULL_QUEUE = 5;
const FULL_CACHE = 0.8;

export interface LoadMetricsParts {
  /** Time between two questions to engines, ms; 0: they are not asked. */
  readonly everyMs: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly workerRegistry: Pick<WorkerRegistry, "all">;
  readonly fleet: Pick<Fleet, "loads">;
}

/** Exposes how loaded the engines are, and asks them for it where the configuration wants it. The owner disposes what it returns. */
export function exposeLoads({ everyMs, clock, metrics, workerRegistry, fleet }: LoadMetricsParts): Disposable {
  const watch = everyMs > 0 ? new LoadWatch({ fleet, clock, everyMs }) : undefined;
  const loadOf = (worker: Worker): EngineLoad | undefined => watch?.of(worker.id);
  const labels = ({ modelId, url }: Worker): { readonly model: string; readonly worker: string } => ({
    model: metrics.bounded("model", modelId),
    worker: metrics.bounded("worker", url),
  });
  const each = (of: (load: EngineLoad) => number | undefined) => (set: SetOfWorker) => {
    for (const worker of workerRegistry.all()) {
      const load = loadOf(worker);
      const value = load && of(load);
      if (value !== undefined) set(labels(worker), value);
    }
  };
  metrics.read(
    "engineRunning",
    each(({ running }) => running),
  );
  metrics.read(
    "engineWaiting",
    each(({ waiting }) => waiting),
  );
  metrics.read(
    "engineKvUsage",
    each(({ kvUsage }) => kvUsage),
  );
  metrics.read("workerSaturation", (set) => {
    for (const worker of workerRegistry.all()) {
      const known = worker.status === "ready" ? saturationOf(worker, loadOf(worker)) : undefined;
      if (known) set({ ...labels(worker), source: known.source }, known.value);
    }
  });
  metrics.read("saturation", (set) => {
    for (const [model, stages] of stagesOf(workerRegistry.all(), loadOf)) {
      for (const [stage, value] of stages) set({ model: metrics.bounded("model", model), stage }, value);
    }
  });
  return { [Symbol.dispose]: () => watch?.[Symbol.dispose]() };
}

type SetOfWorker = (labels: { readonly model: string; readonly worker: string }, value: number) => void;

/** How full a worker is, and who says so; undefined where nothing is known. */
function saturationOf(
  worker: Pick<Worker, "contextTokens" | "kvCapacityTokens">,
  load: EngineLoad | undefined,
): { readonly value: number; readonly source: "engine" | "gateway" } | undefined {
  if (load) return { value: Math.max(load.waiting / FULL_QUEUE, (load.kvUsage ?? 0) / FULL_CACHE), source: "engine" };
  const { kvCapacityTokens } = worker;
  if (kvCapacityTokens === undefined) return undefined;
  return { value: worker.contextTokens / (FULL_CACHE * kvCapacityTokens), source: "gateway" };
}

/** The mean saturation of each model's stages. A stage without a worker that is known is not there. */
function stagesOf(
  workers: readonly Worker[],
  loadOf: (worker: Worker) => EngineLoad | undefined,
): Map<string, Map<string, number>> {
  const models = Map.groupBy(workers, ({ modelId }) => modelId);
  return new Map(
    Array.from(models, ([model, all]) => [
      model,
      meansOf(
        all.filter(({ isUp }) => isUp),
        loadOf,
      ),
    ]),
  );
}

function meansOf(up: readonly Worker[], loadOf: (worker: Worker) => EngineLoad | undefined): Map<string, number> {
  // To wait for a worker is to be at the bound: an autoscaler that looks at nothing else starts one.
  if (up.length === 0) return new Map([["effective", 1]]);
  const means = new Map<string, number>();
  for (const stage of ["prefill", "decode"]) {
    const known = up
      .filter(({ role }) => (role === "prefill") === (stage === "prefill"))
      .flatMap((worker) => saturationOf(worker, loadOf(worker))?.value ?? []);
    if (known.length > 0) means.set(stage, known.reduce((sum, value) => sum + value, 0) / known.length);
  }
  if (means.size > 0) means.set("effective", Math.max(...means.values()));
  return means;
}
