import { availableParallelism } from "node:os";

/** One for each core, up to here: beyond it the one control thread would be what bounds them. */
const MAX_THREADS = 8;

/** How many threads serve; 0 asks for one for each core. */
export function threadCount(asked: number, cores = availableParallelism()): number {
  return asked === 0 ? Math.max(1, Math.min(cores, MAX_THREADS)) : asked;
}
