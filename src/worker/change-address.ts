import type { Worker, WorkerChange } from "./worker.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

/**
 * Changes all workers at an address that do not leave: one, or its data-parallel ranks. `changeOf` returns undefined where nothing
 * changes. A change may bring other ranks, or take some away.
 */
export function changeAddress(
  registry: Pick<WorkerRegistry, "at" | "get" | "update">,
  address: string,
  changeOf: (worker: Worker) => WorkerChange | undefined,
): void {
  for (const { id } of registry.at(address)) {
    const worker = registry.get(id);
    const change = worker && worker.status !== "draining" ? changeOf(worker) : undefined;
    if (change) registry.update(id, change);
  }
}
