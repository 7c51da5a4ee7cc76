import type { BreakerNews, ErrorCode } from "../errors/errors.ts";

/** How an attempt at a worker ended, as far as it says something about the worker. */
export interface AttemptOutcome {
  readonly news: BreakerNews;
  /** The breaker was half-open and let this attempt through as a probe. */
  readonly isProbe: boolean;
  /** The attempt holds the worker's only probe: no other probe starts until it ends. */
  readonly holdsProbe: boolean;
  /** Hash of the request: a request that is sent again has the same hash. Undefined where the worker was never reached. */
  readonly source: number | undefined;
  /** How long the worker asked to get no requests, ms; 0 where it did not ask. */
  readonly restMs: number;
  /** The worker declined without a time: it is full, or it does not have the model or route. */
  readonly isDeclined: boolean;
  /** What the health checker looks at again at once: whether the worker is up, or also which models it serves. */
  readonly recheck: "health" | "models" | undefined;
  /** The error it ended with, for operators; undefined where it ended well or there is nothing to report. */
  readonly error: { readonly code: ErrorCode; readonly message: string } | undefined;
}

/** Where attempts report their outcome. Attempts that say nothing about the worker, which are most, do not report. */
export interface OutcomeSink {
  report(workerId: string, outcome: AttemptOutcome): void;
}
