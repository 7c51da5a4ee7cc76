import type { Clock } from "../util/clock.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import { untilLeft } from "../util/until-left.ts";

/** Looks for a model that no worker is known to serve: it may have been loaded since its worker was asked last. */
export interface ModelFinder {
  /** Resolves when workers were asked, or will not be asked now. Rejects with the signal's reason. */
  find(model: string, signal: LeaveSignal): Promise<void>;
}

export interface FleetModelFinderDeps {
  readonly clock: Clock;
  readonly registry: { serves(model: string): boolean; count(): number };
  /** Asks every worker that is ready what it lists, and resolves when all have answered or cannot be waited for. */
  readonly askListings: () => Promise<void>;
}

/** Rounds of questions that may follow each other at once. */
const MOST_ROUNDS = 5;
/** Time after which there may be one more, ms: of the round, and of each worker that is asked in it. */
const ROUND_MS = 500;
const ROUND_PER_WORKER_MS = 20;

/**
 * Asks the whole fleet in rounds that all who look share. Rounds are few: names that clients make up must not keep the
 * workers busy. Where there is none left nobody is asked, and nobody waits.
 */
export class FleetModelFinder implements ModelFinder {
  readonly #deps: FleetModelFinderDeps;
  #round: Promise<void> | undefined;
  #rounds = MOST_ROUNDS;
  #countedAt: number;

  constructor(deps: FleetModelFinderDeps) {
    this.#deps = deps;
    this.#countedAt = deps.clock.now();
  }

  async find(model: string, signal: LeaveSignal): Promise<void> {
    const { registry } = this.#deps;
    if (registry.serves(model) || registry.count() === 0) return;
    this.#round ??= this.#begin();
    if (this.#round) await untilLeft(this.#round, signal);
  }

  #begin(): Promise<void> | undefined {
    const { clock, registry, askListings } = this.#deps;
    const now = clock.now();
    const gained = (now - this.#countedAt) / (ROUND_MS + registry.count() * ROUND_PER_WORKER_MS);
    this.#rounds = Math.min(MOST_ROUNDS, this.#rounds + gained);
    this.#countedAt = now;
    if (this.#rounds < 1) return undefined;
    this.#rounds -= 1;
    return askListings().finally(() => {
      this.#round = undefined;
    });
  }
}
