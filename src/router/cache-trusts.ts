import type { Logger } from "../observability/logger.ts";
import type { PolicyRegistry } from "../policy/policy-registry.ts";
import type { Clock } from "../util/clock.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";

/** Time between two looks, ms. */
const LOOK_MS = 10_000;
/** Below the first a worker is said to be distrusted, from the second on to be trusted again. */
const DISTRUSTED = 0.5;
const TRUSTED = 0.75;

export interface CacheTrustsDeps {
  readonly workers: Pick<WorkerRegistry, "all">;
  readonly policies: Pick<PolicyRegistry, "getPolicy">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * How far the policies of all models may trust what they know of each worker's cache. Says it in the log when a worker is no longer to be
 * trusted, and when it is again. The policies learn it where they serve, in memory that all threads share.
 */
export class CacheTrusts implements Disposable {
  readonly #deps: CacheTrustsDeps;
  /** Ids of the workers that the log has called distrusted. */
  readonly #distrusted = new Set<string>();
  #cancel: () => void;

  constructor(deps: CacheTrustsDeps) {
    this.#deps = deps;
    this.#cancel = deps.clock.after(LOOK_MS, () => this.#look());
  }

  /** The lowest over the worker's models, 0.1 to 1; undefined where no policy of its models keeps it. */
  of({ models, role, slot }: Worker): number | undefined {
    let lowest: number | undefined;
    for (const model of models) {
      const trust = this.#deps.policies.getPolicy(model, role)?.cacheTrust?.(slot);
      if (trust !== undefined) lowest = Math.min(trust, lowest ?? 1);
    }
    return lowest;
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }

  #look(): void {
    const seen = new Set<string>();
    for (const worker of this.#deps.workers.all()) {
      seen.add(worker.id);
      this.#judge(worker, this.of(worker) ?? 1);
    }
    for (const id of this.#distrusted) if (!seen.has(id)) this.#distrusted.delete(id);
    this.#cancel = this.#deps.clock.after(LOOK_MS, () => this.#look());
  }

  #judge({ id, url }: Worker, trust: number): void {
    const { logger } = this.#deps;
    const fields = { worker: id, url, cache_trust: Number(trust.toFixed(2)) };
    if (trust < DISTRUSTED && !this.#distrusted.has(id)) {
      this.#distrusted.add(id);
      logger.warn(fields, "worker finds less in its prefix cache than was sent to it; it counts for less from now on");
    } else if (trust >= TRUSTED && this.#distrusted.delete(id)) {
      logger.info(fields, "worker finds in its prefix cache what was sent to it");
    }
  }
}
