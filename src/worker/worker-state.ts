import { Secret } from "../util/secret.ts";
import type { LoadLedger } from "./load-ledger.ts";
import { Worker, type WorkerParts } from "./worker.ts";
import type { WorkerSpec } from "./worker-spec.ts";

/** A worker as plain data for another thread. It has the worker's key, so it must not go anywhere else. */
export interface WorkerState extends Omit<WorkerParts, "spec" | "restUntil" | "slowStart" | "ledger"> {
  readonly spec: Omit<WorkerSpec, "apiKey"> & { readonly apiKey: string | undefined };
  /** Remaining time of its rest, ms. It is a duration, because the clocks of threads begin at different times. */
  readonly restMs: number | undefined;
  /** Its slow start, ms: the time that has passed, and the time that is left. */
  readonly slowStart: { readonly passedMs: number; readonly leftMs: number } | undefined;
}

/** `now` is on this thread's clock. */
export function workerState(worker: Worker, now: number): WorkerState {
  const { id, spec, rank, status, statusSince, info, breakerState, restUntil, trouble, lastError, slowStart, slot } =
    worker;
  return {
    id,
    rank,
    spec: { ...spec, apiKey: spec.apiKey?.reveal() },
    status,
    statusSince,
    info,
    breakerState,
    restMs: restUntil === undefined ? undefined : Math.max(0, restUntil - now),
    trouble,
    lastError,
    slowStart: slowStart && { passedMs: now - slowStart.since, leftMs: slowStart.until - now },
    slot,
  };
}

/** The worker on this thread, with this thread's ledger. `now` is on this thread's clock. */
export function workerOf(state: WorkerState, ledger: LoadLedger, now: number): Worker {
  const { spec, restMs, slowStart, ...parts } = state;
  return new Worker({
    ...parts,
    spec: { ...spec, apiKey: spec.apiKey === undefined ? undefined : new Secret(spec.apiKey) },
    restUntil: restMs === undefined ? undefined : now + restMs,
    slowStart: slowStart && { since: now - slowStart.passedMs, until: now + slowStart.leftMs },
    ledger,
  });
}
