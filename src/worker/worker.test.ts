import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Logger } from "../observability/logger.ts";
import { ManualClock } from "../util/clock.ts";
import { parseWorkerUrl } from "../util/parse-worker-url.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { HealthChecker, type HealthCheckerDeps } from "./health-checker.ts";
import { type Lease, LoadLedger } from "./load-ledger.ts";
import { WorkerDrainer } from "./worker-drainer.ts";
import { DEFAULT_SPEC, WorkerFactory } from "./worker-factory.ts";
import { askWorker } from "./worker-probe.ts";
import { WorkerRegistry } from "./worker-registry.ts";
import type { Worker, WorkerSpec } from "./worker.ts";

const BREAKER = { failureThreshold: 4, successThreshold: 2, openMs: 1000, windowMs: 10_000, disabled: false };

interface Setup {
  readonly clock: ManualClock;
  readonly ledger: LoadLedger;
  readonly registry: WorkerRegistry;
  add(url: string, spec?: Partial<WorkerSpec>, isReady?: boolean): Worker;
}

function setUp(): Setup {
  const clock = new ManualClock();
  const ledger = new LoadLedger();
  const registry = new WorkerRegistry({ ledger });
  const factory = new WorkerFactory({ ledger, clock, breaker: BREAKER });
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

describe("ledger", () => {
  test("whatever happens in whatever order, what was charged is given back once", () => {
    const step = fc.record({
      kind: fc.constantFrom("charge", "prefill", "end", "endTwice"),
      slot: fc.nat(3),
      tokens: fc.nat(5000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const ledger = new LoadLedger();
        const slots = [0, 1, 2, 3].map(() => ledger.acquireSlot());
        const leases: Lease[] = [];
        for (const { kind, slot, tokens } of steps) {
          if (kind === "charge") leases.push(ledger.charge(slots[slot] ?? 0, tokens));
          else if (kind === "prefill") leases[tokens % Math.max(1, leases.length)]?.prefillDone();
          else {
            const lease = leases[tokens % Math.max(1, leases.length)];
            lease?.[Symbol.dispose]();
            if (kind === "endTwice") lease?.[Symbol.dispose]();
          }
          for (const sum of Object.values(ledger.totals())) expect(sum).toBeGreaterThanOrEqual(0);
        }
        for (const lease of leases) lease[Symbol.dispose]();
        expect(ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
      }),
    );
  });

  test("the first token turns pending prompt tokens into a decoding sequence", () => {
    const ledger = new LoadLedger();
    const slot = ledger.acquireSlot();
    const lease = ledger.charge(slot, 700);
    expect([ledger.inFlight(slot), ledger.pendingPromptTokens(slot), ledger.decoding(slot)]).toEqual([1, 700, 0]);
    lease.prefillDone();
    expect([ledger.inFlight(slot), ledger.pendingPromptTokens(slot), ledger.decoding(slot)]).toEqual([1, 0, 1]);
  });

  test("a row with requests still in it does not go to another worker before they end", () => {
    const ledger = new LoadLedger();
    const slot = ledger.acquireSlot();
    const lease = ledger.charge(slot, 5);
    ledger.releaseSlot(slot);
    expect(ledger.acquireSlot()).not.toBe(slot);
    lease[Symbol.dispose]();
    expect(ledger.acquireSlot()).toBe(slot);
  });
});

describe("breaker", () => {
  const create = (settings = {}): { breaker: CircuitBreaker; clock: ManualClock } => {
    const clock = new ManualClock();
    return { breaker: new CircuitBreaker({ ...BREAKER, ...settings }, clock), clock };
  };
  const fault = (breaker: CircuitBreaker, times: number): void => {
    for (let count = 0; count < times; count += 1) breaker.onFault();
  };

  test("opens with enough faults, and not with rare ones among many answers", () => {
    const { breaker } = create();
    fault(breaker, 3);
    expect(breaker.state).toBe("closed");
    breaker.onFault();
    expect(breaker.state).toBe("open");
    const busy = create().breaker;
    for (let count = 0; count < 50; count += 1) busy.onSuccess();
    fault(busy, 20);
    expect(busy.state).toBe("closed");
  });

  test("faults that are older than the window do not count", () => {
    const { breaker, clock } = create();
    fault(breaker, 3);
    clock.advance(12_000);
    fault(breaker, 3);
    expect(breaker.state).toBe("closed");
  });

  test("half-open lets one probe through at a time, and closes after enough of them", () => {
    const { breaker, clock } = create();
    fault(breaker, 4);
    expect(breaker.tryAcquireProbe()).toBe(false);
    clock.advance(1000);
    expect(breaker.state).toBe("half_open");
    expect([breaker.tryAcquireProbe(), breaker.tryAcquireProbe()]).toEqual([true, false]);
    breaker.onSuccess();
    expect([breaker.state, breaker.tryAcquireProbe()]).toEqual(["half_open", true]);
    breaker.onSuccess();
    expect(breaker.state).toBe("closed");
  });

  test("a probe that fails opens it again, for twice as long", () => {
    const { breaker, clock } = create();
    fault(breaker, 4);
    clock.advance(1000);
    breaker.tryAcquireProbe();
    breaker.onFault();
    clock.advance(1999);
    expect(breaker.state).toBe("open");
    clock.advance(1);
    expect(breaker.state).toBe("half_open");
  });

  test("a probe whose client left says nothing, and another may follow", () => {
    const { breaker, clock } = create();
    fault(breaker, 4);
    clock.advance(1000);
    breaker.tryAcquireProbe();
    breaker.releaseProbe();
    expect(breaker.tryAcquireProbe()).toBe(true);
  });

  test("disabled, it never opens", () => {
    const { breaker } = create({ disabled: true });
    fault(breaker, 100);
    expect(breaker.state).toBe("closed");
  });
});

describe("registry", () => {
  test("finds workers by id, url and model", () => {
    const { registry, add } = setUp();
    const one = add("http://one:1", { modelId: "a" });
    add("http://two:1", { modelId: "b" });
    expect(registry.get(one.id)?.url).toBe("http://one:1");
    expect(registry.getByUrl("http://two:1")?.modelId).toBe("b");
    expect(registry.getWorkersForModel("a").available.map((worker) => worker.url)).toEqual(["http://one:1"]);
    expect([registry.models(), registry.count()]).toEqual([["a", "b"], 2]);
    expect(registry.getWorkersForModel("c").workers).toEqual([]);
    expect(registry.getWorkersForModel(undefined).workers).toHaveLength(2);
  });

  test("gives every reader the same frozen snapshot until something changes", () => {
    const { registry, add } = setUp();
    add("http://one:1", { modelId: "a" });
    const snapshot = registry.getWorkersForModel("a");
    expect(registry.getWorkersForModel("a")).toBe(snapshot);
    expect(Object.isFrozen(snapshot) && Object.isFrozen(snapshot.available)).toBe(true);
    add("http://elsewhere:1", { modelId: "b" });
    expect(registry.getWorkersForModel("a")).toBe(snapshot);
    add("http://two:1", { modelId: "a" });
    const next = registry.getWorkersForModel("a");
    expect([snapshot.workers.length, next.workers.length]).toEqual([1, 2]);
    expect(next.version).toBeGreaterThan(snapshot.version);
  });

  test("a worker that does not say what it serves stands in for every model", () => {
    const { registry, add } = setUp();
    add("http://any:1");
    add("http://one:1", { modelId: "a" });
    expect(registry.getWorkersForModel("a").workers).toHaveLength(2);
    expect(registry.getWorkersForModel("whatever").workers.map((worker) => worker.url)).toEqual(["http://any:1"]);
  });

  test("made-up model names take no memory of their own", () => {
    const { registry, add } = setUp();
    add("http://any:1");
    const snapshot = registry.getWorkersForModel("made-up-0");
    for (let count = 1; count < 1000; count += 1)
      expect(registry.getWorkersForModel(`made-up-${count}`)).toBe(snapshot);
  });

  test("refuses a url twice, and takes it again once the first is leaving", () => {
    const { registry, add } = setUp();
    const one = add("http://one:1");
    expect(() => add("http://one:1")).toThrow("already");
    registry.beginDrain(one.id);
    expect(add("http://one:1").id).not.toBe(one.id);
    expect(() => registry.beginDrain(one.id)).toThrow("no worker");
    expect(registry.remove(one.id)).toBe(true);
    expect(registry.remove(one.id)).toBe(false);
    expect(registry.getByUrl("http://one:1")).toBeDefined();
  });

  test("workers that are pending, leaving or out are known and not available", () => {
    const { registry, add } = setUp();
    const pending = add("http://one:1", { modelId: "a" }, false);
    expect([
      registry.getWorkersForModel("a").workers.length,
      registry.getWorkersForModel("a").available.length,
    ]).toEqual([1, 0]);
    registry.update(pending.id, { status: "ready" });
    expect(registry.getWorkersForModel("a").available).toHaveLength(1);
    registry.update(pending.id, { status: "not_ready" });
    expect(registry.getWorkersForModel("a").available).toHaveLength(0);
    registry.beginDrain(pending.id);
    expect([registry.getWorkersForModel("a").workers.length, registry.all().length]).toEqual([0, 1]);
  });

  test("an open breaker takes a worker out, half-open puts it on probation, and the last ones stay", () => {
    const { registry, add, clock } = setUp();
    const one = add("http://one:1", { modelId: "a" });
    const two = add("http://two:1", { modelId: "a" });
    const urls = (): string[] => registry.getWorkersForModel("a").available.map((worker) => worker.url);
    for (let count = 0; count < 4; count += 1) one.breaker.onFault();
    expect(urls()).toEqual(["http://two:1"]);
    for (let count = 0; count < 4; count += 1) two.breaker.onFault();
    expect(urls()).toHaveLength(2);
    clock.advance(1000);
    expect(registry.getWorkersForModel("a").probation).toHaveLength(2);
  });

  test("ten thousand workers: a change and a look-up after it are quick", () => {
    const { registry, add } = setUp();
    for (let count = 0; count < 10_000; count += 1) add(`http://w${count}:1`, { modelId: `m${count % 10}` });
    const started = performance.now();
    const last = add("http://last:1", { modelId: "m0" });
    registry.getWorkersForModel("m0");
    registry.remove(last.id);
    registry.getWorkersForModel("m0");
    expect(performance.now() - started).toBeLessThan(50);
  });
});

describe("addresses", () => {
  test("become origins", () => {
    const origin = (text: string): string => {
      const parsed = parseWorkerUrl(text);
      return parsed.ok ? `${parsed.connectionMode} ${parsed.url}` : parsed.reason;
    };
    expect(origin("HTTP://GPU1:8080/")).toBe("http http://gpu1:8080");
    expect(origin("gpu1:8080")).toBe("http http://gpu1:8080");
    expect(origin("https://gpu1")).toBe("http https://gpu1");
    expect(origin("grpc://gpu1:50051")).toBe("grpc grpc://gpu1:50051");
    expect(origin("http://[::1]:8000")).toBe("http http://[::1]:8000");
  });

  test("that lead elsewhere are refused", () => {
    for (const text of [
      "file:///etc/passwd",
      "ftp://x",
      "http://a/b",
      "http://a?x",
      "http://u:p@a",
      "http://",
      "",
      "http://a:99999",
    ]) {
      expect([text, parseWorkerUrl(text).ok]).toEqual([text, false]);
    }
  });
});

describe("asking a worker what it is", () => {
  const ask = (pages: Record<string, unknown>, modelFallback?: string): Promise<unknown> =>
    askWorker(
      { url: "http://w", apiKey: undefined, timeoutMs: 1, modelFallback },
      async (url) => pages[url.slice("http://w".length)],
    );

  test("vLLM", async () => {
    const models = {
      data: [
        { id: "m", owned_by: "vllm", max_model_len: 4096 },
        { id: "m-lora", owned_by: "vllm" },
      ],
    };
    expect(await ask({ "/v1/models": models, "/version": { version: "0.32" } })).toEqual({
      models: ["m", "m-lora"],
      engine: "vllm",
      engineVersion: "0.32",
      maxModelLen: 4096,
    });
  });

  test("SGLang, with the old names of its pages", async () => {
    const pages = {
      "/get_model_info": { model_path: "m" },
      "/get_server_info": { served_model_name: "served", version: "0.5" },
    };
    expect(await ask(pages)).toEqual({
      models: ["served"],
      engine: "sglang",
      engineVersion: "0.5",
      maxModelLen: undefined,
    });
  });

  test("one that says nothing, or nonsense", async () => {
    const nothing = { models: [], engine: undefined, engineVersion: undefined, maxModelLen: undefined };
    expect(await ask({})).toEqual(nothing);
    expect(await ask({ "/v1/models": { data: [{ id: 7 }, null, { id: "x".repeat(9999) }] } })).toEqual(nothing);
    expect(await ask({}, "fallback")).toEqual({ ...nothing, models: ["fallback"] });
  });
});

describe("health", () => {
  const silent: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };

  function watch(
    setup: Setup,
    options: Partial<HealthCheckerDeps> = {},
  ): { checker: HealthChecker; state: { isUp: boolean; probes: number } } {
    const state = { isUp: true, probes: 0 };
    const checker = new HealthChecker({
      registry: setup.registry,
      clock: setup.clock,
      logger: silent,
      fetchHealth: async () => {
        state.probes += 1;
        return state.isUp;
      },
      fetchJson: async (url) =>
        url.endsWith("/v1/models") ? { data: [{ id: "found", owned_by: "vllm" }] } : undefined,
      defaults: {
        endpoint: "/health",
        intervalMs: 1000,
        timeoutMs: 100,
        failureThreshold: 3,
        successThreshold: 2,
        disabled: false,
      },
      startupIntervalMs: 100,
      startupTimeoutMs: 5000,
      removeUnhealthy: false,
      modelFallback: undefined,
      ...options,
    });
    return { checker, state };
  }

  async function pass(setup: Setup, ms: number): Promise<void> {
    for (let step = 0; step < ms; step += 50) {
      setup.clock.advance(50);
      await settle();
    }
  }

  test("a worker that answers becomes ready, with the model it serves", async () => {
    const setup = setUp();
    const { checker } = watch(setup);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await settle();
    expect([setup.registry.get(id)?.status, setup.registry.get(id)?.modelId]).toEqual(["ready", "found"]);
  });

  test("one that is not up yet stays pending, is shown as failed in time, and is ready when it comes", async () => {
    const setup = setUp();
    const { checker, state } = watch(setup);
    state.isUp = false;
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 2000);
    expect(setup.registry.get(id)?.status).toBe("pending");
    await pass(setup, 4000);
    expect(setup.registry.get(id)?.status).toBe("failed");
    state.isUp = true;
    await pass(setup, 1500);
    expect(setup.registry.get(id)?.status).toBe("ready");
  });

  test("three silences take a worker out, two answers bring it back", async () => {
    const setup = setUp();
    const { checker, state } = watch(setup);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 500);
    state.isUp = false;
    await pass(setup, 1500);
    expect(setup.registry.get(id)?.status).toBe("ready");
    await pass(setup, 2000);
    expect(setup.registry.get(id)?.status).toBe("not_ready");
    state.isUp = true;
    await pass(setup, 900);
    await pass(setup, 1200);
    expect(setup.registry.get(id)?.status).toBe("ready");
  });

  test("unhealthy workers leave for good where that is wanted", async () => {
    const setup = setUp();
    const { checker, state } = watch(setup, { removeUnhealthy: true });
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 500);
    state.isUp = false;
    await pass(setup, 4000);
    expect(setup.registry.get(id)).toBeUndefined();
  });

  test("probes asked for out of turn are one at a time", async () => {
    const setup = setUp();
    const { checker, state } = watch(setup);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await settle();
    const before = state.probes;
    for (let count = 0; count < 10; count += 1) checker.probeNow(id);
    await settle();
    expect(state.probes - before).toBe(2);
  });

  test("after it is closed nothing is probed", async () => {
    const setup = setUp();
    const { checker, state } = watch(setup);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await settle();
    checker[Symbol.dispose]();
    const before = state.probes;
    await pass(setup, 5000);
    expect(state.probes).toBe(before);
  });
});

describe("drain", () => {
  test("a worker leaves with its last request, and gets no new one meanwhile", async () => {
    const { registry, ledger, clock, add } = setUp();
    const drainer = new WorkerDrainer({ registry, clock });
    const worker = add("http://one:1", { modelId: "a" });
    const lease = ledger.charge(worker.slot, 1);
    const gone = drainer.drain(worker.id, 60_000);
    expect(registry.getWorkersForModel("a").workers).toEqual([]);
    clock.advance(10_000);
    expect(registry.get(worker.id)?.status).toBe("draining");
    lease[Symbol.dispose]();
    clock.advance(100);
    await gone;
    expect(registry.get(worker.id)).toBeUndefined();
  });

  test("or when its time is over", async () => {
    const { registry, ledger, clock, add } = setUp();
    const drainer = new WorkerDrainer({ registry, clock });
    const worker = add("http://one:1");
    const lease = ledger.charge(worker.slot, 1);
    const gone = drainer.drain(worker.id, 5000);
    clock.advance(5100);
    await gone;
    expect(registry.get(worker.id)).toBeUndefined();
    lease[Symbol.dispose]();
    expect(ledger.totals().inFlight).toBe(0);
  });
});
