import type { RequestFeatures } from "../policy/policy.ts";
import type { KeptPolicy } from "../policy/kept-policy.ts";
import type { SlowStarts } from "../worker/slow-starts.ts";
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

/** Hashed apart from the rings of policies, so that a session's number says nothing about its worker. */
const DRAW_SEED = 0x510e527f;

/**
 * The number in [0, 1) by which a request with a session belongs to the share of workers that start slowly: that of the session, because
 * by chance each request anew would send the session from worker to worker, and 0 where the session is at such a worker already. undefined
 * where chance decides: for a request without a session, and for a policy that does not go by it.
 */
export function sessionDraw(
  policy: KeptPolicy,
  starting: Pick<SlowStarts, "has">,
  features: RequestFeatures,
): number | undefined {
  const { affinity, keepsSessions } = policy;
  const key = affinity || keepsSessions ? features.routingKey() : undefined;
  if (key === undefined) return undefined;
  const home = affinity?.homeOf(features) ?? policy.homeOf?.(features) ?? -1;
  return home >= 0 && starting.has(home) ? 0 : Bun.hash.xxHash32(key, DRAW_SEED) / 2 ** 32;
}
