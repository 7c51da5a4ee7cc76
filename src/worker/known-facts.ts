import type { WorkerInfo } from "./worker.ts";

/** Engines that tell for how long they run tell a slightly different start each time, ms. */
const SAME_START_MS = 5000;

/**
 * What is known of a worker that was asked again: what it said now, and what it said before where it did not say it this time, because a
 * page that does not come in time takes nothing away. Of another process only the number of ranks is kept. `backAt`: where it had refused
 * connections meanwhile, when it was there again, ms since the epoch.
 */
export function factsAfter(said: WorkerInfo, before: WorkerInfo, backAt: number | undefined): WorkerInfo {
  const facts = {
    ...said,
    startedAt: said.startedAt ?? backAt ?? before.startedAt,
    dataParallelSize: said.dataParallelSize ?? before.dataParallelSize,
  };
  if (isAnother(said, before, backAt !== undefined)) return facts;
  return {
    ...facts,
    engine: said.engine ?? before.engine,
    engineVersion: said.engineVersion ?? before.engineVersion,
    maxModelLen: said.maxModelLen ?? before.maxModelLen,
    kvCapacityTokens: said.kvCapacityTokens ?? before.kvCapacityTokens,
    kv: said.kv ?? before.kv,
    kvEvents: said.kvEvents ?? before.kvEvents,
  };
}

/** Whether another process may have answered. */
function isAnother({ startedAt }: WorkerInfo, before: WorkerInfo, wasDown: boolean): boolean {
  if (startedAt === undefined || before.startedAt === undefined) return wasDown;
  return isOtherStart(before.startedAt, startedAt);
}

/** Whether a process that began at `is` is another one than that which began at `was`, ms since the epoch. A start that becomes known is another. */
export function isOtherStart(was: number | undefined, is: number | undefined): boolean {
  return is !== undefined && Math.abs(is - (was ?? 0)) > SAME_START_MS;
}
