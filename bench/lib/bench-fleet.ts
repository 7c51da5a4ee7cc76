import type { Candidate } from "../../src/policy/policy.ts";
import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { WorkerFactory } from "../../src/worker/worker-factory.ts";
import { WorkerRegistry } from "../../src/worker/worker-registry.ts";

/** The model that all workers of a fleet serve. */
export const FLEET_MODEL = "bench";

/** Workers with some load each, in the registry and with the ledger that the gateway has. */
export interface Fleet {
  readonly registry: WorkerRegistry;
  /** Those that a request is sent to one of, asked for as for every request. */
  available(): readonly Candidate[];
  /** Registers one more, which can take requests at once. Returns its id. */
  add(): string;
}

export function createFleet(count: number): Fleet {
  const ledger = new LoadLedger();
  const registry = new WorkerRegistry({ ledger });
  const factory = new WorkerFactory({ ledger });
  let added = 0;
  const add = (): string => {
    added += 1;
    const worker = factory.createFromUrl(`http://10.${added >> 16}.${(added >> 8) & 255}.${added & 255}:8000`);
    const id = registry.register(worker);
    registry.update(id, { status: "ready", info: { ...worker.info, models: [FLEET_MODEL] } });
    return id;
  };
  for (let index = 0; index < count; index += 1) add();
  for (const { slot } of registry.all()) {
    for (let load = (slot * 7919) % 50; load > 0; load -= 1) ledger.charge(slot, 100);
  }
  return { registry, available: () => registry.getWorkersForModel(FLEET_MODEL, "http").available, add };
}
