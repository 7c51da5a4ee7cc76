import { GatewayError } from "../errors/errors.ts";
import { type Clock, systemClock } from "../util/clock.ts";

/** Between two looks, ms. */
const LOOK_MS = 50;
/** Looks of this time count, ms, and at least so many: a thread that is far behind has few of them in a second. */
const WINDOW_MS = 1000;
const LEAST_LOOKS = 20;
/**
 * Not the 99th percentile: of some twenty looks that is the latest, and one long pause (a body of 64 MiB, a process that was
 * stopped) would have a second of requests refused that could be served. Two late looks never count, three may.
 */
const SHARE = 0.9;

interface Look {
  readonly at: number;
  readonly lateMs: number;
}

/**
 * How late this thread comes to what has happened: one timer, and how long after its time it fires. What a request waits
 * for before the gateway has seen it, and no other bound knows of.
 */
export class LoopDelay implements Disposable {
  readonly #maxMs: number;
  readonly #clock: Clock;
  #looks: Look[] = [];
  #dueAt = 0;
  #ms = 0;
  #cancel: () => void = () => undefined;

  /** `maxMs`: beyond it `check` refuses; Infinity for never. */
  constructor(maxMs: number, clock: Clock = systemClock) {
    this.#maxMs = maxMs;
    this.#clock = clock;
    this.#schedule();
  }

  /** Nine looks in ten of the last second were no later than this, ms. */
  get ms(): number {
    return this.#ms;
  }

  /** Throws overloaded. */
  check(): void {
    if (this.#ms <= this.#maxMs) return;
    throw new GatewayError("overloaded", "the gateway is behind with its work", { retryAfterSecs: 1 });
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#dueAt = this.#clock.now() + LOOK_MS;
    this.#cancel = this.#clock.after(LOOK_MS, () => this.#look());
  }

  #look(): void {
    const at = this.#clock.now();
    this.#looks.push({ at, lateMs: Math.max(0, at - this.#dueAt) });
    while (this.#looks.length > LEAST_LOOKS && (this.#looks[0]?.at ?? at) < at - WINDOW_MS) this.#looks.shift();
    const sorted = this.#looks.map(({ lateMs }) => lateMs).sort((one, other) => one - other);
    this.#ms = sorted[Math.ceil(sorted.length * SHARE) - 1] ?? 0;
    this.#schedule();
  }
}
