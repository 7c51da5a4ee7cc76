import { WORKER_ORIGINS } from "../config/given-workers.ts";
import type { Config } from "../config/schema.ts";
import { specOf } from "../config/worker-config.ts";
import { fixedSource, type WorkerSource } from "../worker/sources/worker-source.ts";

/**
 * The sources of workers that the configuration names, in the order in which they may claim a worker. A new kind of source gets its
 * line here. The API is no part of this list: its callers add, change and remove workers themselves.
 */
export function configuredSources(config: Config): readonly WorkerSource[] {
  return WORKER_ORIGINS.flatMap((origin) => {
    const workers = config.initialWorkers.filter(({ source = "file" }) => source === origin);
    if (workers.length === 0) return [];
    return [
      fixedSource(
        origin,
        workers.map((worker) => specOf(worker, origin)),
      ),
    ];
  });
}
