import { GatewayError } from "../errors/errors.ts";
import { type Clock, systemClock } from "../util/clock.ts";

/** Time between two measurements, ms; one costs 10 µs. */
const LOOK_MS = 250;
/** Time between two full garbage collections while the memory is full, ms. Only they give freed memory back to the system. */
const COLLECT_MS = 2000;

/** How to measure and free the process's memory; tests pass a fake. */
export interface MemoryOfProcess {
  residentBytes(): number;
  collect(): void;
}

const THIS_PROCESS: MemoryOfProcess = {
  residentBytes: () => process.memoryUsage.rss(),
  collect: () => Bun.gc(true),
};

/**
 * Bounds the resident memory of the process, for any use of it. It is the last bound before the kernel's, for memory that the bounds
 * on bytes and requests do not count.
 */
export class ResidentMemory implements Disposable {
  #maxBytes: number;
  readonly #clock: Clock;
  readonly #process: MemoryOfProcess;
  #isFull = false;
  #collectedAt = Number.NEGATIVE_INFINITY;
  #cancel: () => void = () => undefined;

  /** `maxBytes`: Infinity for no bound; then nothing is measured. */
  constructor(maxBytes: number, clock: Clock = systemClock, ofProcess: MemoryOfProcess = THIS_PROCESS) {
    this.#maxBytes = maxBytes;
    this.#clock = clock;
    this.#process = ofProcess;
    if (maxBytes !== Number.POSITIVE_INFINITY) this.#look();
  }

  /** Changes the bound, and measures at once where there is one. */
  replace(maxBytes: number): void {
    if (maxBytes === this.#maxBytes) return;
    this.#cancel();
    this.#maxBytes = maxBytes;
    this.#isFull = false;
    if (maxBytes !== Number.POSITIVE_INFINITY) this.#look();
  }

  /** Whether the memory is full. Answers then close their connection, so that clients come back elsewhere. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /**
   * `others`: number of other requests in flight. Throws memory_full, but never for the only request: a process that cannot free
   * its memory would otherwise never serve again.
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
