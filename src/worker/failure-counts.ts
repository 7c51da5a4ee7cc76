import type { Clock } from "../util/clock.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { Worker } from "./worker.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

/** Counts of one worker since its beginning. They wrap at 32 bits, so use differences. */
export interface Count {
  /** Attempts that ended. */
  readonly ended: number;
  /** Those of them that failed. */
  readonly failed: number;
}

/** Counts of one worker since some moment. */
export interface Share extends Count {
  /** Failed among ended, 0 to 1. */
  readonly ratio: number;
}

/** Most requests that are remembered for one worker; more add no information. */
const MAX_SOURCES = 64;
/** Most requests that are remembered for all workers in half a window. */
const MAX_OWNERS = 8192;
/** Marks a request that failed at more than one worker. */
const SEVERAL = "";

interface Standing {
  failed: number;
  /** Counts at the beginning of this half of the window, and of the half before. */
  current: Count;
  previous: Count;
  /** For each request that failed only at this worker: the time of its last failure. */
  readonly sources: Map<number, number>;
}

export interface FailureCountsDeps {
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly clock: Clock;
  readonly windowMs: number;
}

/**
 * Counts how many attempts ended and failed at each worker within a window of time, and how many different requests failed.
 * The ledger counts all attempts anyway, so only failures cost work here: the first failure after a quiet time notes the
 * numbers of all workers, and each following half of a window notes them again.
 *
 * A request that failed at two workers is at fault itself, and does not count among the different requests of either.
 */
export class FailureCounts {
  #deps: FailureCountsDeps;
  #standings = new Map<string, Standing>();
  #halfSince = Number.NEGATIVE_INFINITY;
  /** The worker at which each request failed, in this half of the window and in the half before. */
  #owners = new Map<number, string>();
  #ownersBefore = new Map<number, string>();

  constructor(deps: FailureCountsDeps) {
    this.#deps = deps;
  }

  /** Changes the length of the window. */
  replace(windowMs: number): void {
    this.#deps = { ...this.#deps, windowMs };
  }

  /** Counts a failed attempt, which the ledger has already counted as ended. `source`: hash of its request, where the request may be at fault. */
  add(worker: Worker, source: number | undefined): void {
    this.#turn(worker);
    const standing = this.#standingOf(worker);
    standing.failed += 1;
    if (source !== undefined) this.#addSource(worker, standing, source);
  }

  /** Whether the request failed at another worker as well. */
  failedElsewhere(worker: Worker, source: number): boolean {
    const owner = this.#owners.get(source) ?? this.#ownersBefore.get(source);
    return owner !== undefined && owner !== worker.id;
  }

  /** Number of different requests that failed only at this worker within the window. */
  sources(worker: Worker): number {
    const standing = this.#standings.get(worker.id);
    if (!standing) return 0;
    const oldest = this.#deps.clock.now() - this.#deps.windowMs;
    for (const [source, at] of standing.sources) if (at < oldest) standing.sources.delete(source);
    return standing.sources.size;
  }

  now(worker: Worker): Count {
    return { ended: this.#deps.ledger.finished(worker.slot), failed: this.#standings.get(worker.id)?.failed ?? 0 };
  }

  /** The counts within the window. */
  recent(worker: Worker): Share {
    // A worker that was added within the window began with 0.
    return this.since(worker, this.#standings.get(worker.id)?.previous ?? { ended: 0, failed: 0 });
  }

  since(worker: Worker, before: Count): Share {
    const now = this.now(worker);
    const failed = now.failed - before.failed;
    // The ledger's counts of other threads may be ahead of their reports, never behind.
    const ended = Math.max((now.ended - before.ended) | 0, failed);
    return { ended, failed, ratio: ended === 0 ? 0 : failed / ended };
  }

  /** Forgets a worker's counts: it is a new process, or it has been judged by them. */
  forget(worker: Worker): void {
    const standing = this.#standings.get(worker.id);
    if (standing) this.#standings.set(worker.id, this.#begin(worker, standing.failed));
  }

  #turn(failing: Worker): void {
    const { clock, registry, windowMs } = this.#deps;
    const now = clock.now();
    const age = now - this.#halfSince;
    if (age < windowMs / 2) return;
    const isQuiet = age >= windowMs;
    const standings = new Map<string, Standing>();
    for (const worker of registry.all()) {
      const known = this.#standings.get(worker.id);
      const standing = known && !isQuiet ? known : this.#begin(worker, known?.failed ?? 0);
      if (standing === known) {
        standing.previous = standing.current;
        standing.current = this.now(worker);
      } else if (worker.id === failing.id) {
        // The failed attempt is already counted as ended, and belongs to the window.
        standing.previous = { ...standing.previous, ended: (standing.previous.ended - 1) | 0 };
      }
      standings.set(worker.id, standing);
    }
    this.#standings = standings;
    this.#ownersBefore = isQuiet ? new Map() : this.#owners;
    this.#owners = new Map();
    this.#halfSince = now;
  }

  #begin(worker: Worker, failed: number): Standing {
    const count: Count = { ended: this.#deps.ledger.finished(worker.slot), failed };
    return { failed, current: count, previous: count, sources: new Map() };
  }

  #standingOf(worker: Worker): Standing {
    let standing = this.#standings.get(worker.id);
    if (!standing) {
      // The worker was added within the window, so all its attempts are in it.
      const nothing: Count = { ended: 0, failed: 0 };
      standing = { failed: 0, current: nothing, previous: nothing, sources: new Map() };
      this.#standings.set(worker.id, standing);
    }
    return standing;
  }

  #addSource(worker: Worker, standing: Standing, source: number): void {
    const owner = this.#owners.get(source) ?? this.#ownersBefore.get(source);
    if (owner !== undefined && owner !== worker.id) {
      this.#standings.get(owner)?.sources.delete(source);
      this.#owners.set(source, SEVERAL);
      return;
    }
    if (this.#owners.size < MAX_OWNERS) this.#owners.set(source, worker.id);
    if (standing.sources.size < MAX_SOURCES || standing.sources.has(source)) {
      standing.sources.set(source, this.#deps.clock.now());
    }
  }
}
