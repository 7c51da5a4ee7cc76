import type { WorkerSpec } from "../worker-spec.ts";

/**
 * A report of a source. `ready`: the whole set of workers that it wants from now on, not only the changes; each spec has the name of
 * the source. `away`: it cannot report at present, for example because a server does not answer. Its workers stay, or are those of
 * `workers`, where it still knows what becomes of them.
 */
export type SourceReport =
  | { readonly state: "ready"; readonly workers: readonly WorkerSpec[] }
  | { readonly state: "away"; readonly reason: string; readonly workers?: readonly WorkerSpec[] };

/** Shortest and longest time between a failure and the next try, ms. It doubles with each failure in a row. */
export const RETRY_MS = { least: 1000, most: 30_000 };

/**
 * A place that names the workers of the gateway: a file, the command line, a service registry. It only reports what it wants; the
 * reconciler compares that with the registry and makes the changes.
 */
export interface WorkerSource {
  /** Unique among the sources: a word in snake case, and what tells several of a kind apart, such as `dns:http://engines:8000`. `GET /workers` shows it with each worker. */
  readonly name: string;
  /** When it last heard that its workers are so, in ms of the gateway's clock. Sources that have nobody to hear from do not have it. */
  readonly heardAt?: number | undefined;
  /**
   * Calls `onWanted` as soon as it knows which workers it wants (before this method returns, if it knows then), and again after each
   * change. Calling it twice with the same set changes nothing.
   *
   * Resolves when the set is final, or when the signal aborts. May reject at any time: that counts as `away`, and the source is
   * watched again after a while, so a source needs no retries of its own.
   */
  watch(onWanted: (report: SourceReport) => void, signal: AbortSignal): Promise<void>;
}

/** Resolves when a signal aborts that has not yet. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** A source whose set is given: by the file, the environment, the command line. It changes when it is given another. */
export class GivenSource implements WorkerSource {
  readonly name: string;
  #workers: readonly WorkerSpec[];
  #onWanted: (report: SourceReport) => void = () => undefined;

  constructor(name: string, workers: readonly WorkerSpec[]) {
    this.name = name;
    this.#workers = workers;
  }

  watch(onWanted: (report: SourceReport) => void, signal: AbortSignal): Promise<void> {
    this.#onWanted = onWanted;
    onWanted({ state: "ready", workers: this.#workers });
    return untilAborted(signal);
  }

  /** Reports another set, if it is watched. */
  set(workers: readonly WorkerSpec[]): void {
    this.#workers = workers;
    this.#onWanted({ state: "ready", workers });
  }
}
