import type { Clock } from "../util/clock.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import { untilLeft } from "../util/until-left.ts";

/** Has workers asked for requests that nobody can take: of a model that no known worker serves, and of one whose workers are all down. */
export interface ModelFinder {
  /** Looks for the model: a worker may have loaded it since it was asked last. Resolves when the workers were asked, or will not be asked now. Rejects with the signal's reason. */
  find(model: string, signal: LeaveSignal): Promise<void>;
  /** Has those of these workers that are down probed soon. May be called for each request: each is probed once in an interval at most (`wantedIntervalMs`). */
  wanted(workerIds: readonly string[]): void;
}

export interface FleetModelFinderDeps {
  readonly clock: Clock;
  readonly registry: { serves(model: string): boolean; count(): number };
  /** Asks every ready worker for its listing. Resolves when all have answered, or have taken too long. */
  readonly askListings: () => Promise<void>;
  /** Probes the worker soon if it is down. */
  readonly probeSoon: (workerId: string) => void;
}

/** Most rounds of questions in a row without a pause. */
const MOST_ROUNDS = 5;
/** Time after which one more round is allowed, ms: for the round, and for each worker that is asked in it. */
const ROUND_MS = 500;
const ROUND_PER_WORKER_MS = 20;

/**
 * Asks the whole fleet in rounds; all requests that look for a model share a round. Rounds are limited, so that clients with
 * made-up names cannot keep the workers busy. When no round is left, the fleet is not asked and requests do not wait.
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

  wanted(workerIds: readonly string[]): void {
    for (const id of workerIds) this.#deps.probeSoon(id);
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
