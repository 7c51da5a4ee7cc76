import type { Clock } from "../util/clock.ts";
import { Deadlines } from "../util/deadlines.ts";
import type { Lease } from "./load-ledger.ts";

/** Bounds of the time that a failed request stays in a worker's load, ms. */
const LEAST_MS = 100;
const MOST_MS = 10_000;
/** The time where no request of the model has succeeded yet, ms. */
const UNKNOWN_MS = 1000;
/** One answer in this many is measured. */
const MEASURE_EACH = 8;
/** Weight of a new measurement. */
const WEIGHT = 0.2;
/** Most failed requests that are kept at once; a worker with this many looks loaded enough. */
const MAX_KEPT = 4096;

/**
 * Keeps a failed request in the load that policies see, for as long as a successful one takes. Otherwise a worker that fails
 * at once would always have the least load, and get nearly all requests.
 */
export class FailedLoad implements Disposable {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  /** How long answers take, by model, ms. The number of models is bounded like the labels of metrics. */
  readonly #answerMs = new Map<string, number>();
  #answers = 0;
  #kept = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock);
  }

  /** A request was answered; `startedAt` is a time of the clock. */
  answered(model: string, startedAt: number): void {
    this.#answers += 1;
    if (this.#answers % MEASURE_EACH !== 1) return;
    const tookMs = this.#clock.now() - startedAt;
    const known = this.#answerMs.get(model) ?? tookMs;
    this.#answerMs.set(model, known + WEIGHT * (tookMs - known));
  }

  /** Ends the lease of a failed request, and keeps the request in the load for a while. */
  keep(lease: Lease, model: string): void {
    if (this.#kept >= MAX_KEPT) {
      lease[Symbol.dispose]();
      return;
    }
    const giveBack = lease.fail();
    if (!giveBack) return;
    this.#kept += 1;
    const keptMs = Math.min(Math.max(this.#answerMs.get(model) ?? UNKNOWN_MS, LEAST_MS), MOST_MS);
    this.#deadlines.after(keptMs, () => {
      this.#kept -= 1;
      giveBack();
    });
  }

  [Symbol.dispose](): void {
    this.#deadlines[Symbol.dispose]();
  }
}
