import type { Logger } from "../../src/observability/logger.ts";
import { type AttemptOutcome, BreakerBoard } from "../../src/worker/breaker-board.ts";
import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { ManualClock } from "../../src/util/clock.ts";
import { DEFAULT_SPEC, WorkerFactory } from "../../src/worker/worker-factory.ts";
import { WorkerRegistry } from "../../src/worker/worker-registry.ts";
import type { Worker, WorkerSpec } from "../../src/worker/worker.ts";

const BREAKER_SETTINGS = {
  failureThreshold: 4,
  successThreshold: 2,
  openMs: 1000,
  windowMs: 10_000,
  disabled: false,
};

/** An attempt that tells nothing; tests say what it tells. */
export const ANSWER: AttemptOutcome = {
  news: "answer",
  isProbe: false,
  source: 0,
  restMs: 0,
  recheck: undefined,
  isRefused: false,
};

const NO_LOG: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A registry with its ledger, on a clock that stands still. */
export interface FleetSetup {
  readonly clock: ManualClock;
  readonly ledger: LoadLedger;
  readonly registry: WorkerRegistry;
  readonly board: BreakerBoard;
  /** Workers that were to be looked at anew. */
  readonly rechecked: readonly (readonly [id: string, what: string])[];
  /** Faults of requests that differ, or of the one with this hash. */
  fault(worker: Worker, times: number, source?: number): void;
  add(url: string, spec?: Partial<WorkerSpec>, isReady?: boolean): Worker;
}

export function setUpFleet(): FleetSetup {
  const clock = new ManualClock();
  const rechecked: [id: string, what: string][] = [];
  const ledger = new LoadLedger();
  const registry = new WorkerRegistry({ ledger });
  const board = new BreakerBoard({
    registry,
    ledger,
    clock,
    logger: NO_LOG,
    settings: BREAKER_SETTINGS,
    recheck: (id, what) => rechecked.push([id, what]),
  });
  const factory = new WorkerFactory({ ledger });
  return {
    clock,
    ledger,
    registry,
    board,
    rechecked,
    fault: (worker, times, source) => {
      for (let count = 0; count < times; count += 1) {
        board.report(worker.id, { ...ANSWER, news: "fault", source: source ?? count });
      }
    },
    add(url, spec = {}, isReady = true) {
      const id = registry.register(factory.create({ ...DEFAULT_SPEC, ...spec, url }));
      return registry.update(id, isReady ? { status: "ready" } : {});
    },
  };
}
