import { GatewayError } from "../errors/errors.ts";
import { type Clock, systemClock } from "../util/clock.ts";

/** Between two looks, ms: one costs 10 µs. */
const LOOK_MS = 250;
/** While it is too much: between two full collections, ms. What was freed is given back to the system by these alone. */
const COLLECT_MS = 2000;

/** What it looks at and may do; a test brings its own. */
export interface MemoryOfProcess {
  residentBytes(): number;
  collect(): void;
}

const THIS_PROCESS: MemoryOfProcess = {
  residentBytes: () => process.memoryUsage.rss(),
  collect: () => Bun.gc(true),
};

/**
 * What the process takes of memory, whatever it takes it for: the last bound, before the kernel's, where those on bytes and
 * requests do not see what is held.
 */
export class ResidentMemory implements Disposable {
  readonly #maxBytes: number;
  readonly #clock: Clock;
  readonly #process: MemoryOfProcess;
  #isFull = false;
  #collectedAt = Number.NEGATIVE_INFINITY;
  #cancel: () => void = () => undefined;

  /** `maxBytes`: Infinity for no bound, which looks at nothing. */
  constructor(maxBytes: number, clock: Clock = systemClock, ofProcess: MemoryOfProcess = THIS_PROCESS) {
    this.#maxBytes = maxBytes;
    this.#clock = clock;
    this.#process = ofProcess;
    if (maxBytes !== Number.POSITIVE_INFINITY) this.#look();
  }

  /** Connections should end with their answers, so that clients come back elsewhere. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /**
   * `others`: requests under way besides this one. Throws memory_full; not for one that is alone, as a process whose memory
   * never came back would otherwise serve nobody ever again.
   */
  check(others: number): void {
    if (!this.#isFull || others === 0) return;
    throw new GatewayError("memory_full", "the gateway takes as much memory as it may", { retryAfterSecs: 1 });
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }

  #look(): void {
    this.#isFull = this.#isOver();
    const now = this.#clock.now();
    if (this.#isFull && now >= this.#collectedAt + COLLECT_MS) {
      this.#collectedAt = now;
      this.#process.collect();
      this.#isFull = this.#isOver();
    }
    this.#cancel = this.#clock.after(LOOK_MS, () => this.#look());
  }

  #isOver(): boolean {
    return this.#process.residentBytes() > this.#maxBytes;
  }
}
