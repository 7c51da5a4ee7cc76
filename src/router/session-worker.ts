import type { RequestFeatures } from "../policy/policy.ts";
import type { KeptPolicy } from "../policy/kept-policy.ts";
import type { Worker } from "../worker/worker.ts";

/** Lists of one worker. Policies keep facts about a list, so each worker has one. */
const ALONE = new WeakMap<Worker, readonly Worker[]>();

/** The list with only the worker with which the request's session stays; undefined where the policy chooses among all. */
export function sessionWorker(
  { affinity }: Pick<KeptPolicy, "affinity">,
  workers: readonly Worker[],
  features: RequestFeatures,
): readonly Worker[] | undefined {
  const worker = affinity && workers[affinity.stayAt(workers, features)];
  if (!worker) return undefined;
  let list = ALONE.get(worker);
  if (!list) {
    list = [worker];
    ALONE.set(worker, list);
  }
  return list;
}
