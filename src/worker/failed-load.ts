import type { Clock } from "../util/clock.ts";
import { Deadlines } from "../util/deadlines.ts";
import type { Lease } from "./load-ledger.ts";

/** Bounds of how long a failed request is kept in a worker's load, ms. */
const LEAST_MS = 100;
const MOST_MS = 10_000;
/** Where no request of the model has succeeded yet, ms. */
const UNKNOWN_MS = 1000;
/** One answer of so many is measured. */
const MEASURE_EACH = 8;
/** Weight of a new measurement. */
const WEIGHT = 0.2;
/** Failed requests that are kept at once; a worker with so many looks loaded enough. */
const MAX_KEPT = 4096;

/**
 * A request that failed stays in the load that policies see, for as long as one that succeeds would. Otherwise a worker
 * that fails at once is always the one with the least to do, and gets nearly all requests.
 */
export class FailedLoad implements Disposable {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  /** How long answers take, by model, ms. Models are bounded as labels of metrics are. */
  readonly #answerMs = new Map<string, number>();
  #answers = 0;
  #kept = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock);
  }

  /** A request was answered; `startedAt`: on the clock. */
  answered(model: string, startedAt: number): void {
    this.#answers += 1;
    if (this.#answers % MEASURE_EACH !== 1) return;
    const tookMs = this.#clock.now() - startedAt;
    const known = this.#answerMs.get(model) ?? tookMs;
    this.#answerMs.set(model, known + WEIGHT * (tookMs - known));
  }

  /** Ends the lease of a request that failed, and keeps it in the load for a while. */
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
