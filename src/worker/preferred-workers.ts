import type { Worker } from "./worker.ts";

/** Lists by the list that they were made of. A list of workers is reused until the workers change. */
const MADE = new WeakMap<readonly Worker[], readonly Worker[]>();

/** Whether the operator gave the workers different priorities. */
export function haveDifferentPriorities(workers: readonly Worker[]): boolean {
  const first = workers[0]?.priority;
  return workers.some(({ priority }) => priority !== first);
}

/**
 * The workers with the highest priority among these, in their order; the same list where all have one priority. Called twice with one
 * list it returns one list, because policies keep facts about a list.
 */
export function preferredOf(workers: readonly Worker[]): readonly Worker[] {
  const made = MADE.get(workers);
  if (made) return made;
  const highest = workers.reduce((most, { priority }) => Math.max(most, priority), 0);
  const preferred = workers.filter(({ priority }) => priority === highest);
  const list = preferred.length === workers.length ? workers : preferred;
  MADE.set(workers, list);
  return list;
}
