import type { Clock } from "../util/clock.ts";
import { LoopDelay } from "./loop-delay.ts";
import { ResidentMemory } from "./resident-memory.ts";

export interface PressureSettings {
  /** Infinity for no bound. */
  readonly maxLoopDelayMs: number;
  /** Infinity for no bound. */
  readonly maxResidentBytes: number;
}

/** The load of the process: how late its event loop is, and how much memory it uses. */
export class Pressure implements Disposable {
  readonly #loopDelay: LoopDelay;
  readonly #memory: ResidentMemory;

  constructor({ maxLoopDelayMs, maxResidentBytes }: PressureSettings, clock: Clock) {
    this.#loopDelay = new LoopDelay(maxLoopDelayMs, clock);
    this.#memory = new ResidentMemory(maxResidentBytes, clock);
  }

  /** Changes the bounds; what was measured counts on. */
  replace({ maxLoopDelayMs, maxResidentBytes }: PressureSettings): void {
    this.#loopDelay.replace(maxLoopDelayMs);
    this.#memory.replace(maxResidentBytes);
  }

  /** How late the event loop is, ms. */
  get loopDelayMs(): number {
    return this.#loopDelay.ms;
  }

  /** Whether the memory is full. Answers then close their connection, so that clients come back elsewhere. */
  get isFull(): boolean {
    return this.#memory.isFull;
  }

  /** `others`: number of other requests in flight. Throws overloaded, memory_full. */
  check(others: number): void {
    this.#loopDelay.check();
    this.#memory.check(others);
  }

  [Symbol.dispose](): void {
    this.#loopDelay[Symbol.dispose]();
    this.#memory[Symbol.dispose]();
  }
}
