import { STEP_AT, STEP_PIECES, STEP_S, workerAt } from "./shared-layout.ts";

/** Pieces belong to the same step where they come within this share of a step after its first one, or within this time, s. */
const SAME_STEP = 0.4;
const SAME_STEP_S = 0.002;
/** Pieces that are further apart do not tell how long a step is, s: nothing decoded in between. */
const MOST_STEP_S = 1;
/** What is longer than so many of the steps before, and than this time, s, was a prefill or a stall, and the next step is not. */
const MOST_TIMES = 2;
const USUAL_STEP_S = 0.05;
/**
 * The step in progress moves a wait by at most this share of the worker's overhead, which has a whole step in it. Where engines put several
 * tokens into a piece, the time between pieces is several steps.
 */
const MOST_OF_OVERHEAD = 0.5;
/** A worker is silent after so many steps without a token, and a grace, s. Each further second counts as several, up to a most, s. */
const SILENT_STEPS = 3;
const SILENT_GRACE_S = 0.03;
const SILENT_WEIGHT = 3;
const MOST_SILENT_S = 5;
/** So many streams must have fallen silent at once. One alone may wait for its client, or for the end of a tool call. */
const SILENT_STREAMS = 2;

/**
 * What the pieces of the streams of a worker tell of its steps. At the end of each step an engine gives a token to each sequence that
 * it decodes, so the time of a worker's last pieces is when its present step began, and the time between them how long a step is.
 * A request that comes waits for the end of that step; and a worker that gives none of its streams a token for several
 * steps stands still, which is seen long before the first token of a new request is late.
 */
export class StreamPulse {
  readonly #cells: Float64Array;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** A piece of a stream came, which is not its first one, at `now` in s. */
  heard(slot: number, now: number): void {
    const at = workerAt(slot);
    const cells = this.#cells;
    const sinceS = now - (cells[at + STEP_AT] ?? 0);
    if (this.#isSameStep(at, sinceS)) {
      cells[at + STEP_PIECES] = (cells[at + STEP_PIECES] ?? 0) + 1;
      return;
    }
    cells[at + STEP_AT] = now;
    const stepS = cells[at + STEP_S] ?? 0;
    if (sinceS <= MOST_STEP_S) cells[at + STEP_S] = Math.min(sinceS, Math.max(MOST_TIMES * stepS, USUAL_STEP_S));
    cells[at + STEP_PIECES] = 1;
  }

  /** The first token of a stream came. Its step has prefilled, so its length says nothing about other steps. */
  began(slot: number, now: number): void {
    const at = workerAt(slot);
    const cells = this.#cells;
    if (this.#isSameStep(at, now - (cells[at + STEP_AT] ?? 0))) return;
    cells[at + STEP_AT] = now;
    cells[at + STEP_PIECES] = 1;
  }

  /**
   * How much later than half a step, which is the average, the step in progress at the time `at` ends, s. Below 0: earlier. `overheadS` is
   * the worker's.
   */
  untilNextStepS(slot: number, at: number, overheadS: number): number {
    const worker = workerAt(slot);
    const stepS = this.#cells[worker + STEP_S] ?? 0;
    const sinceS = at - (this.#cells[worker + STEP_AT] ?? 0);
    // A step has ended since.
    if (sinceS < 0) return 0;
    const most = MOST_OF_OVERHEAD * overheadS;
    return Math.max(-most, Math.min(Math.max(0, stepS - sinceS) - stepS / 2, most));
  }

  /**
   * What a worker's silence counts for, s; 0 as long as it is not silent. `decoding`: sequences that decode there. `at`: the time, s, until
   * which nothing but them was in its way, so that a prefill is no reason for the silence.
   */
  silentS(slot: number, decoding: number, at: number, now: number): number {
    const worker = workerAt(slot);
    const cells = this.#cells;
    const stepS = cells[worker + STEP_S] ?? 0;
    if (stepS === 0 || Math.min(decoding, cells[worker + STEP_PIECES] ?? 0) < SILENT_STREAMS) return 0;
    const lateS = at - (cells[worker + STEP_AT] ?? 0) - SILENT_STEPS * stepS - SILENT_GRACE_S;
    return lateS > 0 ? Math.min(SILENT_WEIGHT * (lateS + now - at), MOST_SILENT_S) : 0;
  }

  #isSameStep(worker: number, sinceS: number): boolean {
    return sinceS <= Math.max(SAME_STEP * (this.#cells[worker + STEP_S] ?? 0), SAME_STEP_S);
  }
}
