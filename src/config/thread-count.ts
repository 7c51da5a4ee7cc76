import { availableParallelism } from "node:os";

/** Most threads for `--threads 0`, which takes one for each core. Beyond it, the single control thread would be the bottleneck. */
const MAX_THREADS = 8;

/** Number of serving threads; `asked` 0 means one for each core. */
export function threadCount(asked: number, cores = availableParallelism()): number {
  return asked === 0 ? Math.max(1, Math.min(cores, MAX_THREADS)) : asked;
}
