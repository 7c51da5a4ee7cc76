import { WORKER_ORIGINS, type WorkerOrigin } from "../config/given-workers.ts";
import type { Config } from "../config/schema.ts";
import { specOf } from "../config/worker-config.ts";
import type { GatewayError } from "../errors/errors.ts";
import { GivenSource } from "../worker/sources/worker-source.ts";
import type { WorkerSources } from "../worker/sources/worker-sources.ts";
import type { WorkerSpec } from "../worker/worker-spec.ts";

/**
 * The sources of workers that the configuration names, in the order in which they may claim a worker. A place that names no worker is
 * no source. The API is no part of this: its callers add, change and remove workers themselves.
 */
export class ConfiguredSources {
  readonly #sources: Pick<WorkerSources, "follow">;
  readonly #followed = new Map<WorkerOrigin, GivenSource>();

  constructor(sources: Pick<WorkerSources, "follow">) {
    this.#sources = sources;
  }

  /** Makes the sources want the workers of this configuration. Returns why workers of new sources were not taken. */
  want(config: Config): readonly GatewayError[] {
    return WORKER_ORIGINS.flatMap((origin) => {
      const workers = workersOf(config, origin);
      const known = this.#followed.get(origin);
      if (known) known.set(workers);
      if (known || workers.length === 0) return [];
      const source = new GivenSource(origin, workers);
      this.#followed.set(origin, source);
      return this.#sources.follow(source);
    });
  }
}

/** All workers that the configuration names. */
export function configuredWorkers(config: Config): readonly WorkerSpec[] {
  return WORKER_ORIGINS.flatMap((origin) => workersOf(config, origin));
}

function workersOf({ initialWorkers }: Config, origin: WorkerOrigin): readonly WorkerSpec[] {
  const workers = initialWorkers.filter(({ source = "file" }) => source === origin);
  return workers.map((worker) => specOf(worker, origin));
}
