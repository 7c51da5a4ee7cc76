import type { GatewayError } from "../../errors/errors.ts";
import type { Logger } from "../../observability/logger.ts";
import type { Clock } from "../../util/clock.ts";
import type { Reconciler } from "./reconciler.ts";
import type { WorkerSpec } from "../worker-spec.ts";
import { RETRY_MS, type SourceReport, type WorkerSource } from "./worker-source.ts";
import { errorMessage } from "../../util/error-message.ts";

/** State of a source, for `GET /workers`. */
export interface SourceView {
  readonly name: string;
  /**
   * - `starting`: it has said nothing yet.
   * - `ready`: the workers that it wants are those of its last report.
   * - `away`: it cannot say, or not all; the workers of its last report stay.
   */
  readonly state: "starting" | "ready" | "away";
  /** Why it is away. */
  readonly reason: string | undefined;
  /** Number of workers in its last report, and how many of them were refused. */
  readonly wanted: number;
  readonly refused: number;
  /** Time since it last heard that its workers are so, ms; undefined where it has not yet, or hears from nobody. */
  readonly silentMs: number | undefined;
}

export interface WorkerSourcesDeps {
  readonly reconciler: Pick<Reconciler, "apply">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** State of one source. */
interface Followed {
  readonly source: WorkerSource;
  state: SourceView["state"];
  reason: string | undefined;
  /** Number of workers in its last report. */
  wanted: number;
  refusals: readonly GatewayError[];
  /** Wait after its next failure, ms. */
  retryMs: number;
  /** Resolves with its first report. */
  readonly heard: PromiseWithResolvers<void>;
}

/**
 * Follows the sources of workers: gives each set that one wants to the reconciler, and watches one anew that has failed. Nothing
 * is removed because a source is away. Disposing it ends all watches; the workers stay.
 */
export class WorkerSources implements Disposable {
  readonly #deps: WorkerSourcesDeps;
  readonly #followed = new Map<string, Followed>();
  readonly #end = new AbortController();
  readonly #timers = new Set<() => void>();

  constructor(deps: WorkerSourcesDeps) {
    this.#deps = deps;
  }

  /**
   * Follows a source from now on. Where the source knows its workers already, they are registered before this returns. Returns why
   * some of those were not taken. Throws where a source of this name is followed already.
   */
  follow(source: WorkerSource): readonly GatewayError[] {
    const { name } = source;
    if (this.#followed.has(name)) throw new Error(`there are two sources of workers called ${name}`);
    const followed: Followed = {
      source,
      state: "starting",
      reason: undefined,
      wanted: 0,
      refusals: [],
      retryMs: RETRY_MS.least,
      heard: Promise.withResolvers(),
    };
    this.#followed.set(name, followed);
    void this.#watch(followed);
    return followed.refusals;
  }

  /** Resolves when every source has reported once: its workers, or that it is away. */
  async heard(): Promise<void> {
    await Promise.all([...this.#followed.values()].map(({ heard }) => heard.promise));
  }

  /** The sources in the order of `follow`. */
  list(): readonly SourceView[] {
    const now = this.#deps.clock.now();
    return [...this.#followed.values()].map(({ source, state, reason, wanted, refusals }) => ({
      name: source.name,
      state,
      reason,
      wanted,
      refused: refusals.length,
      silentMs: source.heardAt === undefined ? undefined : now - source.heardAt,
    }));
  }

  [Symbol.dispose](): void {
    this.#end.abort();
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  /** Runs up to the first wait of the source before it returns. Never rejects. */
  async #watch(followed: Followed): Promise<void> {
    const { signal } = this.#end;
    let isOver = false;
    try {
      await followed.source.watch((report) => {
        if (!isOver && !signal.aborted) this.#onReport(followed, report);
      }, signal);
    } catch (error) {
      isOver = true;
      if (signal.aborted) return;
      this.#onReport(followed, { state: "away", reason: errorMessage(error) });
      this.#watchLater(followed);
    }
  }

  #watchLater(followed: Followed): void {
    const cancel = this.#deps.clock.after(followed.retryMs, () => {
      this.#timers.delete(cancel);
      void this.#watch(followed);
    });
    this.#timers.add(cancel);
    followed.retryMs = Math.min(RETRY_MS.most, followed.retryMs * 2);
  }

  #onReport(followed: Followed, report: SourceReport): void {
    const { logger } = this.#deps;
    const { name } = followed.source;
    followed.heard.resolve();
    if (report.state === "away") {
      if (followed.state !== "away" || followed.reason !== report.reason) {
        logger.warn({ source: name, reason: report.reason }, "source of workers is away; its workers stay");
      }
      followed.state = "away";
      followed.reason = report.reason;
    } else {
      if (followed.state === "away") logger.info({ source: name }, "source of workers is back");
      followed.state = "ready";
      followed.reason = undefined;
      followed.retryMs = RETRY_MS.least;
    }
    if (report.workers) this.#take(followed, report.workers);
  }

  #take(followed: Followed, workers: readonly WorkerSpec[]): void {
    followed.wanted = workers.length;
    followed.refusals = this.#deps.reconciler.apply(followed.source.name, workers);
  }
}
