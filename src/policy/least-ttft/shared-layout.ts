import { SLOTS } from "../../util/slots.ts";
import { SUMS } from "./decayed-sums.ts";

/** Prefixes for which time is kept, and cells of each of them: `further-copies.ts`. */
export const PREFIXES = 4096;
export const PREFIX_CELLS = 5;

/** Cells of the whole policy. */
export const TIME = 0;
/** Number of the latest choice. */
export const TURN = 1;
/** First bytes that were ever measured. */
export const MEASURED = 2;
/** Sums of the whole fleet: y is a service time, x its work. */
export const POOL = 8;
/** Sums for what attention costs. */
export const ATTENTION = POOL + 8;
/** What answers say: `usage-feedback.ts`. */
export const USAGE = ATTENTION + 8;
/** Seconds for each token of an answer, from answers that came whole. */
export const TOKEN_S = USAGE + 8;
/** Sums for what handing a KV cache over takes. */
export const HANDOVER = TOKEN_S + 8;
/** When the first request was counted, s. */
export const CAME_SINCE = HANDOVER + 8;
/** What prefixes have cost. */
export const COPIES = 64;
const WORKERS = COPIES + PREFIXES * PREFIX_CELLS;

/**
 * Cells of a worker: three cache lines, of which each choice reads the first one, and the last one where something decodes or where answers
 * come whole.
 */
export const WORKER = 24;
/** How often its rates have changed. */
export const CHANGES = 0;
/** Time of its last first byte, s. */
export const FIRST_BYTE_AT = 1;
/** Number of the last choice that fell on it. */
export const CHOSEN = 2;
/** Work of the first bytes that came nearly at once and are not in the sums yet; NaN where they must not be. */
export const BATCH_WORK = 3;
/**
 * What came to it: the number of requests, what the next best worker would have cost them more, s, and what their prefills took, s, all three of
 * late, and the time of the last one, s.
 */
export const CAME = 4;
export const LOST_S = 5;
export const NEEDED_S = 6;
export const CAME_AT = 7;
/** Its sums, as POOL. */
export const WORKER_SUMS = 8;
/** Service time of the first bytes of BATCH_WORK. */
export const BATCH_S = WORKER_SUMS + SUMS;
/** How many times longer than expected its whole answers take. */
export const SLOWNESS = BATCH_S + 1;
/** Its last step that gave tokens to streams: when the first of them came, s, how long it was, s (0: not known), and how many pieces came of it. */
export const STEP_AT = 16;
export const STEP_S = 17;
export const STEP_PIECES = 18;
/** When it will have prefilled all requests without streams, s, by its rates. */
export const WHOLE_DONE_AT = 19;
/** Work of all requests without streams that it was sent, and the part of it that has been accounted for. */
export const WHOLE_SENT = 20;
export const WHOLE_SEEN = 21;
/** When the first bytes of BATCH_WORK came, s. */
export const BATCH_AT = 22;

/** Cells of a worker for each thread, which only that thread writes. */
const ROW = 4;
/** Oldest stream without a first byte: when it was sent, s (0: none), and its work. */
export const OLDEST_AT = 0;
export const OLDEST_WORK = 1;
/** Requests without streams that are in flight: their work, and their number. */
export const WHOLE_WORK = 2;
export const WHOLE_COUNT = 3;

/** Bytes of the state of a policy that so many threads share. Memory of slots that no worker has is never touched. */
export function stateBytes(threads: number): number {
  return (usedAt(threads, 0) + threads) * Float64Array.BYTES_PER_ELEMENT;
}

/** Number of the first cell of a worker. */
export function workerAt(slot: number): number {
  return WORKERS + slot * WORKER;
}

/** Number of the first cell of a worker for a thread. */
export function rowAt(thread: number, slot: number): number {
  return WORKERS + SLOTS * WORKER + (thread * SLOTS + slot) * ROW;
}

/** Number of the cell that says how many of its rows, from the first, a thread has ever written. */
export function usedAt(threads: number, thread: number): number {
  return rowAt(threads, 0) + thread;
}
