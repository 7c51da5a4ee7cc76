import type { Logger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import type { AttemptOutcome } from "../../src/worker/attempt-outcome.ts";
import { type BoardSettings, BreakerBoard } from "../../src/worker/breaker-board.ts";
import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { ManualClock } from "./manual-clock.ts";
import { WorkerFactory } from "../../src/worker/worker-factory.ts";
import { WorkerRegistry } from "../../src/worker/worker-registry.ts";
import type { Worker } from "../../src/worker/worker.ts";
import type { WorkerSpec } from "../../src/worker/worker-spec.ts";

/** Threshold 4, two probes to close, open for 1 s, window 10 s. */
export const BOARD_SETTINGS: BoardSettings = {
  breaker: {
    failureThreshold: 4,
    successThreshold: 2,
    openMs: 1000,
    ejectionMs: 2000,
    windowMs: 10_000,
    disabled: false,
  },
  outliers: { failureThreshold: 5, maxShare: 0.5, windowMs: 10_000 },
  slowStartMs: 3000,
};

/** An attempt that tells nothing; tests say what it tells. */
export const ANSWER: AttemptOutcome = {
  news: "answer",
  isProbe: false,
  holdsProbe: false,
  source: undefined,
  restMs: 0,
  isDeclined: false,
  recheck: undefined,
  error: undefined,
};

export interface LogLine {
  readonly level: string;
  readonly message: string | undefined;
  readonly fields: object;
}

/** A registry with its ledger, on a clock that stands still. */
export interface FleetSetup {
  readonly clock: ManualClock;
  readonly ledger: LoadLedger;
  readonly registry: WorkerRegistry;
  readonly board: BreakerBoard;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** What was logged: level, message and fields. */
  readonly lines: readonly LogLine[];
  /** Workers that were to be looked at anew. */
  readonly rechecked: readonly (readonly [id: string, what: string])[];
  /** Faults of requests that differ, or of the one with this hash. */
  fault(worker: Worker, times: number, source?: number): void;
  add(url: string, spec?: Partial<WorkerSpec>, isReady?: boolean): Worker;
}

export function setUpFleet(): FleetSetup {
  const clock = new ManualClock();
  const rechecked: [id: string, what: string][] = [];
  const lines: LogLine[] = [];
  const metrics = new Metrics();
  const write =
    (level: string) =>
    (fields: object, message?: string): void => {
      lines.push({ level, message, fields });
    };
  const logger: Logger = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  const ledger = new LoadLedger();
  const registry = new WorkerRegistry({ ledger });
  const board = new BreakerBoard({
    registry,
    ledger,
    clock,
    logger,
    metrics,
    settings: BOARD_SETTINGS,
    recheck: (id, what) => rechecked.push([id, what]),
  });
  const factory = new WorkerFactory({ ledger });
  return {
    clock,
    ledger,
    registry,
    board,
    metrics,
    logger,
    lines,
    rechecked,
    fault: (worker, times, source) => {
      for (let count = 0; count < times; count += 1) {
        board.report(worker.id, { ...ANSWER, news: "fault", source: source ?? count });
      }
    },
    add(url, spec = {}, isReady = true) {
      const id = registry.register(factory.createFromUrl(url, spec));
      return registry.update(id, isReady ? { status: "ready" } : {});
    },
  };
}
