import type { Logger } from "../observability/logger.ts";
import { groupOf } from "./outlier-detector.ts";
import type { Worker } from "./worker.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

/** Logs when the gateway begins to ask workers that are left out, because too few others are left, and when that ends. */
export class PanicWatch {
  readonly #registry: WorkerRegistry;
  readonly #logger: Logger;
  /** Workers that are left out. */
  readonly #troubled = new Set<string>();
  /** Models for which workers that are left out are asked, by group of workers. */
  readonly #panicking = new Map<string, string>();

  constructor(registry: WorkerRegistry, logger: Logger) {
    this.#registry = registry;
    this.#logger = logger;
  }

  /** Models for which workers that are left out are asked now. */
  get models(): Iterable<string> {
    return this.#panicking.values();
  }

  onChange(before: Worker | undefined, after: Worker | undefined): void {
    if (after?.trouble) this.#troubled.add(after.id);
    else if (before) this.#troubled.delete(before.id);
    const worker = after ?? before;
    // A healthy fleet of any size costs nothing here.
    if (worker && this.#troubled.size + this.#panicking.size > 0) this.#look(worker);
  }

  #look(worker: Worker): void {
    const { modelId, connectionMode, spec } = worker;
    const group = groupOf(worker);
    const snapshot = this.#registry.getWorkersForModel(modelId, connectionMode, spec.workerType);
    if (snapshot.isPanic === this.#panicking.has(group)) return;
    const left = snapshot.workers.filter(({ status, trouble }) => status === "ready" && trouble === undefined).length;
    if (snapshot.isPanic) {
      this.#panicking.set(group, modelId);
      this.#logger.warn(
        { model: modelId, left, asked: snapshot.available.length },
        "too few workers of the model are left: those that are left out are asked all the same",
      );
    } else {
      this.#panicking.delete(group);
      this.#logger.info({ model: modelId, left }, "enough workers of the model are left");
    }
  }
}
