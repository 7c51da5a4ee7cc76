import { afterEach, describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import { Metrics } from "../observability/metrics.ts";
import { PolicyMemory } from "../policy/policy-memory.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { WorkerFactory } from "../worker/worker-factory.ts";
import { WorkerRegistry } from "../worker/worker-registry.ts";
import { workerState } from "../worker/worker-state.ts";
import { Secret } from "../util/secret.ts";
import { ringOf } from "../../test/support/keys.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { Change } from "./messages.ts";
import { createMethodCell } from "./method-cell.ts";
import { Replica } from "./replica.ts";
import { startMessage } from "./start-message.ts";
import { createVia } from "../transport/via.ts";
import { PUBLIC_WORKERS } from "../transport/tls/worker-tls.ts";

const { config } = loadConfig({ env: {}, flags: NO_FLAGS });
const MODEL = "m";
let opened = new AsyncDisposableStack();
afterEach(async () => {
  await opened.disposeAsync();
  opened = new AsyncDisposableStack();
});

/** The control thread's side: registries with one worker, whose policy has memory. */
function setUpControl(): {
  readonly ledger: LoadLedger;
  readonly registry: WorkerRegistry;
  readonly memory: PolicyMemory;
  readonly clock: ManualClock;
  add(url: string): string;
  change(more: Partial<Change>): Change;
} {
  const ledger = new LoadLedger({ threads: 2 });
  const registry = new WorkerRegistry({ ledger });
  const factory = new WorkerFactory({ ledger });
  return {
    ledger,
    registry,
    memory: new PolicyMemory(),
    clock: new ManualClock(),
    add(url) {
      const worker = factory.createFromUrl(url, { modelId: MODEL, apiKey: new Secret("key") });
      registry.register(worker);
      registry.update(worker.id, { status: "ready" });
      return worker.id;
    },
    change: (more) => ({
      type: "change",
      version: 1,
      put: undefined,
      removed: undefined,
      tokenizer: undefined,
      memory: [],
      ...more,
    }),
  };
}

/** A replica as on another thread: its start message is copied, except for shared memory. */
async function openReplica({ ledger, registry, memory, clock }: ReturnType<typeof setUpControl>): Promise<Replica> {
  const deps = {
    config: { ...config, threads: 2 },
    clock,
    ledger,
    keys: ringOf(undefined, { threads: 2 }),
    policyMemory: memory,
    workerRegistry: registry,
    tokenizers: { onChange: () => () => undefined, named: () => [] },
    routes: [],
    certificates: { current: { main: undefined, workers: PUBLIC_WORKERS } },
    via: createVia(),
  };
  const start = startMessage(deps, { number: 1, port: 0, version: 0, methodCell: createMethodCell() });
  const ignore = (): void => undefined;
  const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
  return Replica.open(
    structuredClone(start),
    { config: deps.config, logger, clock: new ManualClock(), metrics: new Metrics() },
    opened,
  );
}

describe("a replica", () => {
  test("begins with the workers as they are, their keys with them, and each model has its policy", async () => {
    const control = setUpControl();
    const id = control.add("http://one:1");
    const { workerRegistry, policyRegistry } = (await openReplica(control)).registries;
    const worker = workerRegistry.get(id);
    expect([worker?.url, worker?.status, worker?.spec.apiKey?.reveal()]).toEqual(["http://one:1", "ready", "key"]);
    expect(workerRegistry.getWorkersForModel(MODEL).available.length).toBe(1);
    expect(policyRegistry.getPolicy(MODEL)?.name).toBe("least_ttft");
  });

  test("counts in the ledger of all threads", async () => {
    const control = setUpControl();
    const id = control.add("http://one:1");
    const { ledger, workerRegistry } = (await openReplica(control)).registries;
    const slot = workerRegistry.get(id)?.slot ?? -1;
    ledger.charge(slot, 7);
    expect(control.ledger.inFlight(slot)).toBe(1);
    control.ledger.releaseThread(1);
    expect(control.ledger.inFlight(slot)).toBe(0);
  });

  test("follows changes: a worker comes, changes and leaves", async () => {
    const control = setUpControl();
    const replica = await openReplica(control);
    const id = control.add("http://one:1");
    const state = (): ReturnType<typeof workerState> | undefined => {
      const worker = control.registry.get(id);
      return worker && structuredClone(workerState(worker, 0));
    };
    replica.apply(control.change({ put: state() }));
    const { workerRegistry, policyRegistry } = replica.registries;
    expect(workerRegistry.get(id)?.status).toBe("ready");
    control.registry.update(id, { status: "not_ready" });
    replica.apply(control.change({ put: state() }));
    expect(workerRegistry.get(id)?.status).toBe("not_ready");
    replica.apply(control.change({ removed: id }));
    expect([workerRegistry.count(), policyRegistry.getPolicy(MODEL)]).toEqual([0, undefined]);
  });

  test("knows which rank of its address a worker is", async () => {
    const control = setUpControl();
    const replica = await openReplica(control);
    const { registry, ledger } = control;
    const rank = { index: 3, of: 8 };
    const worker = new WorkerFactory({ ledger }).createFromUrl("http://one:1", { modelId: MODEL }, rank);
    registry.register(worker);
    replica.apply(control.change({ put: structuredClone(workerState(worker, 0)) }));
    const { workerRegistry } = replica.registries;
    const there = workerRegistry.getByUrl("http://one:1@3");
    expect([there?.rank, there?.pinnedRank, there?.url]).toEqual([rank, 3, "http://one:1@3"]);
    expect(workerRegistry.at("http://one:1").length).toBe(1);
    replica.apply(control.change({ put: workerState(worker.with({ status: "draining" }), 0) }));
    expect(workerRegistry.at("http://one:1")).toEqual([]);
  });

  test("makes the policy of a new model with the memory that comes with the change", async () => {
    const control = setUpControl();
    const replica = await openReplica(control);
    const { policyMemory, policyRegistry } = replica.registries;
    const size = policyMemory.all()[0]?.[1].byteLength ?? 0;
    const memory = new SharedArrayBuffer(size);
    const id = control.add("http://one:1");
    const worker = control.registry.get(id);
    replica.apply(control.change({ put: worker && workerState(worker, 0), memory: [[MODEL, memory]] }));
    expect(policyRegistry.getPolicy(MODEL)?.name).toBe("least_ttft");
    expect(policyMemory.get(MODEL, size)).toBe(memory);
  });
});
