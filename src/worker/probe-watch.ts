import type { Logger } from "../observability/logger.ts";
import type { ProbeFailure } from "./prober.ts";
import type { Worker } from "./worker.ts";

/** After this time without an answer, the log names a new worker, ms; and again each time that the time has doubled. */
const PENDING_MS = 10_000;

/** State of one address between its probes: of a worker, or of all data-parallel ranks that are workers there. */
export interface ProbeWatch {
  readonly address: string;
  readonly since: number;
  /** The log says that the worker is still pending after this time, ms. */
  tellPendingMs: number;
  failures: number;
  successes: number;
  /** Since when it has been new, down or without known facts, in ms of the clock; undefined while it is well. */
  restlessSince: number | undefined;
  isProbing: boolean;
  /** When its last probe ended, and when the next one is due, in ms of the clock; 0 and Infinity where there is none. */
  probedAt: number;
  dueAt: number;
  /** Its probes are not at the same time as those of workers that came with it. */
  isSpread: boolean;
  /** Another probe was requested while one was running. */
  isAskedAgain: boolean;
  /** The next answered probe must also ask for the worker's facts. */
  isUnknown: boolean;
  /** The facts were asked for since the worker was added, changed or came back, even if it did not give all of them. */
  wasAsked: boolean;
  /** The worker's listing when it was asked for its facts. */
  listing: string | undefined;
  /** When the next answered probe must also ask for the listing, in ms of the clock. */
  listingDueAt: number;
  /** It refused a connection since it was asked for its facts: the next answer may be another process's. */
  wasDown: boolean;
  cancel: () => void;
}

/** The state of an address that was not probed yet, from `now` on. */
export function newWatch(address: string, now: number): ProbeWatch {
  return {
    address,
    since: now,
    tellPendingMs: PENDING_MS,
    failures: 0,
    successes: 0,
    restlessSince: now,
    isProbing: false,
    probedAt: 0,
    dueAt: Number.POSITIVE_INFINITY,
    isSpread: false,
    isAskedAgain: false,
    isUnknown: true,
    wasAsked: false,
    listing: undefined,
    listingDueAt: now,
    wasDown: false,
    cancel: () => undefined,
  };
}

/** Has the log name a worker that is new and does not answer, when it has waited for longer than was told last. */
export function tellPending(
  watch: ProbeWatch,
  { id, url }: Worker,
  waitedMs: number,
  { reason }: ProbeFailure,
  logger: Logger,
): void {
  if (waitedMs < watch.tellPendingMs) return;
  watch.tellPendingMs *= 2;
  logger.warn({ worker: id, url, reason, pending_secs: Math.round(waitedMs / 1000) }, "worker is still pending");
}

/** Whether the worker is ready and its facts were asked for, or it is out. */
export function hasSettled({ status }: Worker, watch: ProbeWatch | undefined): boolean {
  return status === "ready" ? watch?.wasAsked === true : status !== "pending";
}

const LISTING_PER_WORKER_MS = 100;
const MAX_LISTING_MS = 60_000;

/**
 * The time between two questions to a worker for its listing, ms: for each worker of the fleet, and at most. So a fleet of up to ninety is
 * asked with each probe, and 1,000 workers are not asked 100 times a second for what hardly ever changes. A failed probe, a request for
 * a model that nobody is known to serve, and one that a worker refuses as it has no such model have the worker asked at once.
 */
export function listingIntervalMs(workers: number): number {
  return Math.min(MAX_LISTING_MS, workers * LISTING_PER_WORKER_MS);
}

/** Share of the time that a worker has been down, after which it is probed once more. */
const RESTLESS_SHARE = 0.1;
/** Most time between two probes of a worker that is down, ms, where well ones are probed more seldom. */
const MAX_RESTLESS_MS = 10_000;

/**
 * The time between two probes of a worker that is new or down, ms: a tenth of the time for which it has been so, at least `firstMs`, and at
 * most 10 s or `intervalMs`, the interval of well workers. So one that is away for a moment is asked each second, one that has been away for a minute and a
 * half costs no more than a well one, and a worker that comes back waits a tenth of its absence at most.
 */
export function restlessIntervalMs(downMs: number, firstMs: number, intervalMs: number): number {
  return Math.min(intervalMs, Math.max(firstMs, Math.min(downMs * RESTLESS_SHARE, MAX_RESTLESS_MS)));
}

const WANTED_PER_WORKER_MS = 5;

/**
 * The least time from the end of a probe to the next, ms, for a worker that is down and that a request has wanted. It is that of a worker
 * that has just gone down, and 5 ms for each worker of the fleet, so that clients of a fleet that is all down have at most 200 probes a second made.
 */
export function wantedIntervalMs(workers: number, firstMs: number): number {
  return Math.max(firstMs, workers * WANTED_PER_WORKER_MS);
}
