import { GatewayError } from "../errors/errors.ts";
import { type Clock, systemClock } from "../util/clock.ts";

/** Time between two measurements, ms. */
const LOOK_MS = 50;
/** Measurements within this time count, ms, but at least a number of them: a thread that is far behind has few in a second. */
const WINDOW_MS = 1000;
const LEAST_LOOKS = 20;
/**
 * Share of the measurements that must be in time. It is not 0.99: of some twenty measurements that is the worst one, so one long
 * pause (a body of 64 MiB, a stopped process) would refuse a second of requests that could be served. Two late measurements never
 * refuse requests; three may. Those that a thread has not made yet count as in time: a thread that has just started was late because
 * it loaded its modules.
 */
const SHARE = 0.9;

interface Look {
  readonly at: number;
  readonly lateMs: number;
}

/**
 * Measures how late the event loop of this thread is: how long after its time a timer fires. Requests wait that long before
 * the gateway sees them, and no other bound counts this wait.
 */
export class LoopDelay implements Disposable {
  #maxMs: number;
  readonly #clock: Clock;
  #looks: Look[] = [];
  #dueAt = 0;
  #ms = 0;
  #cancel: () => void = () => undefined;

  /** `maxMs`: `check` throws beyond this delay; Infinity for never. */
  constructor(maxMs: number, clock: Clock = systemClock) {
    this.#maxMs = maxMs;
    this.#clock = clock;
    this.#schedule();
  }

  /** Delay that nine in ten measurements of the last second did not exceed, ms. */
  get ms(): number {
    return this.#ms;
  }

  /** Changes the bound of `check`. */
  replace(maxMs: number): void {
    this.#maxMs = maxMs;
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
    const count = Math.max(sorted.length, LEAST_LOOKS);
    this.#ms = sorted[Math.ceil(count * SHARE) - 1 - (count - sorted.length)] ?? 0;
    this.#schedule();
  }
}
