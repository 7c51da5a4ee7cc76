import type { Clock } from "../util/clock.ts";
import { LoopDelay } from "./loop-delay.ts";
import { ResidentMemory } from "./resident-memory.ts";

export interface PressureSettings {
  /** Infinity for no bound. */
  readonly maxLoopDelayMs: number;
  /** Infinity for no bound. */
  readonly maxResidentBytes: number;
}

/** What the process can still take: how late its event loop is, and how much memory it has. */
export class Pressure implements Disposable {
  readonly #loopDelay: LoopDelay;
  readonly #memory: ResidentMemory;

  constructor({ maxLoopDelayMs, maxResidentBytes }: PressureSettings, clock: Clock) {
    this.#loopDelay = new LoopDelay(maxLoopDelayMs, clock);
    this.#memory = new ResidentMemory(maxResidentBytes, clock);
  }

  /** How late the event loop comes to what has happened, ms. */
  get loopDelayMs(): number {
    return this.#loopDelay.ms;
  }

  /** The memory is full: connections should end with their answers, so that clients come back elsewhere. */
  get isFull(): boolean {
    return this.#memory.isFull;
  }

  /** `others`: requests under way besides the one that is asked for. Throws overloaded, memory_full. */
  check(others: number): void {
    this.#loopDelay.check();
    this.#memory.check(others);
  }

  [Symbol.dispose](): void {
    this.#loopDelay[Symbol.dispose]();
    this.#memory[Symbol.dispose]();
  }
}
