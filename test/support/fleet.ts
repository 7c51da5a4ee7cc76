import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { ManualClock } from "../../src/util/clock.ts";
import { DEFAULT_SPEC, WorkerFactory } from "../../src/worker/worker-factory.ts";
import { WorkerRegistry } from "../../src/worker/worker-registry.ts";
import type { Worker, WorkerSpec } from "../../src/worker/worker.ts";

export const BREAKER_SETTINGS = {
  failureThreshold: 4,
  successThreshold: 2,
  openMs: 1000,
  windowMs: 10_000,
  disabled: false,
};

/** A registry with its ledger, on a clock that stands still. */
export interface FleetSetup {
  readonly clock: ManualClock;
  readonly ledger: LoadLedger;
  readonly registry: WorkerRegistry;
  add(url: string, spec?: Partial<WorkerSpec>, isReady?: boolean): Worker;
}

export function setUpFleet(): FleetSetup {
  const clock = new ManualClock();
  const ledger = new LoadLedger();
  const registry = new WorkerRegistry({ ledger });
  const factory = new WorkerFactory({ ledger, clock, breaker: BREAKER_SETTINGS });
  return {
    clock,
    ledger,
    registry,
    add(url, spec = {}, isReady = true) {
      const id = registry.register(factory.create({ ...DEFAULT_SPEC, ...spec, url }));
      return registry.update(id, isReady ? { status: "ready" } : {});
    },
  };
}
