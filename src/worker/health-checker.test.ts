import { describe, expect, test } from "bun:test";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import type { Logger } from "../observability/logger.ts";
import { HealthChecker, type HealthCheckerDeps } from "./health-checker.ts";
import { createHttpProber } from "../engine/http-prober.ts";
import type { Page } from "../engine/probe-client.ts";
import type { Worker } from "./worker.ts";
import { WorkerFactory } from "./worker-factory.ts";

describe("health", () => {
  interface State {
    isUp: boolean;
    /** It accepts connections, and does not answer. */
    isSilent: boolean;
    probes: number;
    questions: number;
    models: Page;
    metrics: string;
    readonly list: (...ids: string[]) => Page;
  }
  const silent: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };

  const DEFAULTS = {
    endpoint: "/health",
    intervalMs: 1000,
    timeoutMs: 100,
    failureThreshold: 3,
    successThreshold: 2,
    disabled: false,
  };

  function watch(
    setup: FleetSetup,
    options: Partial<HealthCheckerDeps> = {},
  ): { checker: HealthChecker; state: State } {
    const models = (...ids: string[]): Page => ({
      kind: "json",
      value: { data: ids.map((id) => ({ id, owned_by: "vllm" })) },
    });
    const state: State = {
      isUp: true,
      isSilent: false,
      probes: 0,
      questions: 0,
      models: models("found"),
      metrics: "",
      list: models,
    };
    const prober = createHttpProber({
      async health() {
        state.probes += 1;
        if (state.isSilent) return { code: "upstream_timeout", reason: "no answer" };
        return state.isUp ? undefined : { code: "upstream_connect_failed", reason: "it refuses connections" };
      },
      async page({ path }) {
        state.questions += 1;
        return path === "/v1/models" ? state.models : { kind: "none" };
      },
      text: async () => state.metrics,
    });
    const checker = new HealthChecker({
      registry: setup.registry,
      clock: setup.clock,
      logger: silent,
      probers: { http: prober, grpc: prober },
      defaults: DEFAULTS,
      startupIntervalMs: 100,
      startupTimeoutMs: 5000,
      modelFallback: undefined,
      ...options,
    });
    return { checker, state };
  }

  async function pass(setup: FleetSetup, ms: number): Promise<void> {
    for (let step = 0; step < ms; step += 50) {
      setup.clock.advance(50);
      await settle();
    }
  }

  test("a worker that answers becomes ready, with the model it serves", async () => {
    const setup = setUpFleet();
    const { checker } = watch(setup);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await settle();
    expect([setup.registry.get(id)?.status, setup.registry.get(id)?.modelId]).toEqual(["ready", "found"]);
  });

  test("an address with ranks is probed once for all of them, whichever of them have left", async () => {
    const setup = setUpFleet();
    const { registry } = setup;
    const { checker, state } = watch(setup);
    const factory = new WorkerFactory({ ledger: setup.ledger });
    const ids = [0, 1, 2].map((index) =>
      registry.register(factory.createFromUrl("http://one:1", {}, { index, of: 3 })),
    );
    checker.watch(ids[0] ?? "");
    await settle();
    const statuses = (): (string | undefined)[] => ids.map((id) => registry.get(id)?.status);
    expect([statuses(), state.probes]).toEqual([["ready", "ready", "ready"], 1]);
    expect(registry.at("http://one:1").map(({ modelId }) => modelId)).toEqual(["found", "found", "found"]);
    registry.remove(ids[0] ?? "");
    state.isUp = false;
    await pass(setup, 4000);
    expect(statuses()).toEqual([undefined, "not_ready", "not_ready"]);
    expect(registry.get(ids[2] ?? "")?.lastError?.code).toBe("upstream_connect_failed");
    state.isUp = true;
    const before = state.probes;
    checker.probeNow(ids[1] ?? "");
    checker.probeNow(ids[2] ?? "");
    await settle();
    // The second question of the two is asked when the first is answered.
    expect(state.probes - before).toBe(2);
    await pass(setup, 3000);
    expect(statuses()).toEqual([undefined, "ready", "ready"]);
  });

  test("one that is not up yet stays pending, is shown as failed in time, and is ready when it comes", async () => {
    const setup = setUpFleet();
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
    const setup = setUpFleet();
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

  test("the more workers there are, the more seldom each well one is asked for its listing, once a minute at least", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup, { defaults: { ...DEFAULTS, intervalMs: 10_000 } });
    const ids = Array.from({ length: 1000 }, (_, index) => setup.add(`http://w${index}:1`, {}, false).id);
    for (const id of ids) checker.watch(id);
    await pass(setup, 20_000);
    const before = { ...state };
    await pass(setup, 60_000);
    const probes = state.probes - before.probes;
    expect(probes).toBeGreaterThanOrEqual(6000);
    expect(probes).toBeLessThan(6700);
    const questions = state.questions - before.questions;
    expect(questions).toBeGreaterThan(800);
    expect(questions).toBeLessThan(1300);
    state.models = state.list("other");
    await pass(setup, 70_000);
    expect(ids.every((id) => setup.registry.get(id)?.modelId === "other")).toBe(true);
  });

  test("probes of a large fleet begin four times a second, some of them together, and none later than that", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup, { defaults: { ...DEFAULTS, intervalMs: 10_000 } });
    for (let index = 0; index < 1000; index += 1) checker.watch(setup.add(`http://w${index}:1`, {}, false).id);
    await pass(setup, 15_000);
    const started: number[] = [];
    for (let step = 0; step < 200; step += 1) {
      const before = state.probes;
      await pass(setup, 50);
      if (state.probes > before) started.push(state.probes - before);
    }
    expect(started.length).toBeGreaterThan(20);
    expect(started.length).toBeLessThanOrEqual(41);
    // Within the interval and a quarter of a second each is probed once, or twice.
    await pass(setup, 250);
    expect(started.reduce((sum, count) => sum + count)).toBeGreaterThan(950);
  });

  test("after a failed probe, and when a listing is asked for, a worker of a large fleet is asked for it at once", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup, { defaults: { ...DEFAULTS, intervalMs: 10_000 } });
    for (let index = 1; index < 1000; index += 1) setup.add(`http://w${index}:1`, {}, false);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    // The first listing after that of the start.
    await pass(setup, 12_000);
    state.models = state.list("second");
    state.isSilent = true;
    await pass(setup, 11_000);
    state.isSilent = false;
    await pass(setup, 11_000);
    expect(setup.registry.get(id)?.modelId).toBe("second");
    state.models = state.list("third");
    await pass(setup, 11_000);
    expect(setup.registry.get(id)?.modelId).toBe("second");
    checker.probeNow(id, "listing");
    await settle();
    expect(setup.registry.get(id)?.modelId).toBe("third");
  });

  test("one that refused a single probe and answers again is asked anew, and counts as another process from then on", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 500);
    const startedAt = (): number | undefined => setup.registry.get(id)?.info.startedAt;
    expect(startedAt()).toBeUndefined();
    state.isUp = false;
    await pass(setup, 1000);
    state.isUp = true;
    await pass(setup, 1500);
    expect([setup.registry.get(id)?.status, typeof startedAt()]).toEqual(["ready", "number"]);
    const since = startedAt();
    await pass(setup, 3000);
    expect(startedAt()).toBe(since);
  });

  test("one that tells when it began is the same process after a refused probe, and tells its cache once, and again after it", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup);
    const facts = (blocks: number): string =>
      `process_start_time_seconds 1000\nvllm:cache_config_info{block_size="16",num_gpu_blocks="${blocks}"} 1\n`;
    state.metrics = facts(10);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 500);
    const told = (): (number | undefined)[] => {
      const worker = setup.registry.get(id);
      return [worker?.info.startedAt, worker?.kvCapacityTokens];
    };
    expect(told()).toEqual([1_000_000, 160]);
    state.metrics = facts(20);
    await pass(setup, 3000);
    expect(told()).toEqual([1_000_000, 160]);
    state.isUp = false;
    await pass(setup, 1000);
    state.isUp = true;
    await pass(setup, 1500);
    expect(told()).toEqual([1_000_000, 320]);
  });

  /** A worker that has been down for so long that it is probed each ten seconds only. */
  async function longDown(setup: FleetSetup): Promise<{ checker: HealthChecker; state: State; id: string }> {
    const { checker, state } = watch(setup, { defaults: { ...DEFAULTS, intervalMs: 60_000 }, startupIntervalMs: 1000 });
    const { id } = setup.add("http://one:1", {}, false);
    state.isUp = false;
    checker.watch(id);
    await pass(setup, 150_000);
    return { checker, state, id };
  }

  test("one that is down is probed within an interval of its last probe when a request wants it, and then serves", async () => {
    const setup = setUpFleet();
    const { checker, state, id } = await longDown(setup);
    checker.probeSoon(id);
    await pass(setup, 1200);
    state.isUp = true;
    const before = state.probes;
    checker.probeSoon(id);
    await pass(setup, 1200);
    expect([setup.registry.get(id)?.status, state.probes - before]).toEqual(["ready", 1]);
  });

  test("requests that want a worker 20 times a second, which stays down, have it probed once in an interval", async () => {
    const setup = setUpFleet();
    const { checker, state, id } = await longDown(setup);
    const before = state.probes;
    for (let step = 0; step < 400; step += 1) {
      checker.probeSoon(id);
      await pass(setup, 50);
    }
    expect(state.probes - before).toBeGreaterThanOrEqual(17);
    expect(state.probes - before).toBeLessThanOrEqual(21);
    // When nobody wants it any more, it is probed as seldom as before.
    const later = state.probes;
    await pass(setup, 30_000);
    expect(state.probes - later).toBeLessThanOrEqual(5);
  });

  test("requests that want a large fleet which is all down have at most 200 probes a second made", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup, { defaults: { ...DEFAULTS, intervalMs: 60_000 }, startupIntervalMs: 100 });
    const ids = Array.from({ length: 600 }, (_, index) => setup.add(`http://w${index}:1`, {}, false).id);
    state.isUp = false;
    for (const id of ids) checker.watch(id);
    await pass(setup, 150_000);
    const before = state.probes;
    for (let step = 0; step < 120; step += 1) {
      for (const id of ids) checker.probeSoon(id);
      await pass(setup, 50);
    }
    expect(state.probes - before).toBeGreaterThan(600);
    // 6 s at 200 a second, and the first one of each, which was due.
    expect(state.probes - before).toBeLessThanOrEqual(1800);
  });

  test("a request that wants a worker that is well has it probed no sooner", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 2000);
    const before = state.probes;
    for (let count = 0; count < 10; count += 1) checker.probeSoon(id);
    await settle();
    expect(state.probes).toBe(before);
  });

  test("unhealthy workers leave for good where that is wanted", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup);
    checker.onUnhealthy((worker) => setup.registry.remove(worker.id));
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 500);
    state.isUp = false;
    await pass(setup, 4000);
    expect(setup.registry.get(id)).toBeUndefined();
  });

  test("probes asked for out of turn are one at a time", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await settle();
    const before = state.probes;
    for (let count = 0; count < 10; count += 1) checker.probeNow(id);
    await settle();
    expect(state.probes - before).toBe(2);
  });

  const failed = (code: "upstream_auth_failed" | "upstream_unavailable"): Page => ({
    kind: "failed",
    failure: { code, reason: `GET /v1/models: ${code}` },
  });

  test("one whose models could not be asked is ready, is asked again soon, and then they are known", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup);
    state.models = failed("upstream_unavailable");
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await settle();
    const worker = (): Worker | undefined => setup.registry.get(id);
    expect([worker()?.status, worker()?.models, worker()?.lastError?.message]).toEqual([
      "ready",
      [],
      "GET /v1/models: upstream_unavailable",
    ]);
    state.models = state.list("found");
    await pass(setup, 200);
    expect(worker()?.models).toEqual(["found"]);
    // Known facts stay when the worker cannot be asked again.
    state.models = failed("upstream_unavailable");
    await pass(setup, 2500);
    expect(worker()?.models).toEqual(["found"]);
  });

  test("one that refuses the key is not ready, and says so", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup);
    state.models = failed("upstream_auth_failed");
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 500);
    expect([setup.registry.get(id)?.status, setup.registry.get(id)?.lastError?.code]).toEqual([
      "pending",
      "upstream_auth_failed",
    ]);
    state.models = state.list("found");
    await pass(setup, 500);
    expect(setup.registry.get(id)?.status).toBe("ready");
  });

  test("models that come and go while it is well are seen with the next probe, and it is asked no more than that", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await settle();
    const before = state.questions;
    await pass(setup, 3100);
    expect(state.questions - before).toBeLessThanOrEqual(4);
    state.models = state.list("found", "lora");
    await pass(setup, 1100);
    expect(setup.registry.get(id)?.models).toEqual(["found", "lora"]);
    state.models = state.list("another");
    await pass(setup, 1100);
    expect(setup.registry.get(id)?.models).toEqual(["another"]);
  });

  test("every change for the worse is a warning with its reason, and so is a worker that stays pending", async () => {
    const setup = setUpFleet();
    const warnings: [message: string | undefined, reason: unknown][] = [];
    const logger: Logger = {
      ...silent,
      warn: (fields, message) => void warnings.push([message, "reason" in fields ? fields.reason : undefined]),
    };
    const { checker, state } = watch(setup, { logger, startupTimeoutMs: 60_000 });
    state.isUp = false;
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 9000);
    expect(warnings).toEqual([]);
    await pass(setup, 25_000);
    expect(warnings).toEqual([
      ["worker is still pending", "it refuses connections"],
      ["worker is still pending", "it refuses connections"],
    ]);
    state.isUp = true;
    await pass(setup, 1100);
    state.isUp = false;
    await pass(setup, 4000);
    expect(warnings.slice(2)).toEqual([["worker status", "it refuses connections"]]);
    expect(setup.registry.get(id)?.lastError).toMatchObject({ code: "upstream_connect_failed" });
  });

  test("whoever waits for the first probe goes on when it fails, and whoever waits for the worker goes on when it is out", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup);
    const over: string[] = [];
    const { id } = setup.add("http://one:1", {}, false);
    const { signal } = new AbortController();
    state.isUp = false;
    checker.watch(id);
    void checker.waitUntilProbed(id, signal).then((worker) => over.push(`probed: ${worker?.status}`));
    void checker.waitUntilSettled(id, signal).then((worker) => over.push(`settled: ${worker?.status}`));
    await settle();
    expect(over).toEqual(["probed: pending"]);
    await pass(setup, 6000);
    expect(over).toEqual(["probed: pending", "settled: failed"]);
    state.isUp = true;
    await pass(setup, 2000);
    expect((await checker.waitUntilProbed(id, signal))?.status).toBe("ready");
  });

  /** Probes in each of so many seconds. */
  async function probesBySecond(setup: FleetSetup, state: State, seconds: number): Promise<number[]> {
    const found: number[] = [];
    for (let second = 0; second < seconds; second += 1) {
      const before = state.probes;
      await pass(setup, 1000);
      found.push(state.probes - before);
    }
    return found;
  }

  test("one that is down is probed each second at first, and after a tenth of the time that it has been down, at most the interval", async () => {
    const setup = setUpFleet();
    const settings = { defaults: { ...DEFAULTS, intervalMs: 10_000 }, startupIntervalMs: 1000, startupTimeoutMs: 5000 };
    const { checker, state } = watch(setup, settings);
    state.isUp = false;
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    const seconds = await probesBySecond(setup, state, 200);
    const within = (from: number, to: number): number => seconds.slice(from, to).reduce((sum, count) => sum + count, 0);
    expect(within(0, 10)).toBeGreaterThanOrEqual(9);
    expect(within(30, 60)).toBeLessThanOrEqual(9);
    expect(within(100, 200)).toBeGreaterThanOrEqual(9);
    expect(within(100, 200)).toBeLessThanOrEqual(12);
    // It serves again within the interval, once it is up.
    state.isUp = true;
    await pass(setup, 10_250);
    expect(setup.registry.get(id)?.status).toBe("ready");
  });

  test("one that was down for long and answers again is asked the further times soon", async () => {
    const setup = setUpFleet();
    const defaults = { ...DEFAULTS, intervalMs: 10_000, successThreshold: 4 };
    const { checker, state } = watch(setup, { defaults, startupIntervalMs: 1000 });
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 1000);
    state.isUp = false;
    await pass(setup, 200_000);
    expect(setup.registry.get(id)?.status).toBe("not_ready");
    state.isUp = true;
    await pass(setup, 10_250 + 3300);
    expect(setup.registry.get(id)?.status).toBe("ready");
  });

  test("one that is said to be back is probed at once, and each second from then on, and so is any when a model is looked for", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup, { defaults: { ...DEFAULTS, intervalMs: 60_000 }, startupIntervalMs: 1000 });
    state.isUp = false;
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 200_000);
    const before = state.probes;
    checker.mayBeBack(id);
    await settle();
    expect(state.probes - before).toBe(1);
    await pass(setup, 5000);
    expect(state.probes - before).toBeGreaterThanOrEqual(5);
    await pass(setup, 200_000);
    state.isUp = true;
    await checker.askListings(2000);
    await settle();
    expect(setup.registry.get(id)?.status).toBe("ready");
  });

  test("workers that swallow their probes do not keep well ones from being probed", async () => {
    const setup = setUpFleet();
    const { promise: never } = Promise.withResolvers<undefined>();
    const prober = createHttpProber({
      health: async ({ url }) => (url.startsWith("http://hole") ? never : undefined),
      page: async () => ({ kind: "none" }),
      text: async () => "",
    });
    const { checker } = watch(setup, { probers: { http: prober, grpc: prober } });
    const well = setup.add("http://well:1", {}, false).id;
    checker.watch(well);
    await pass(setup, 1000);
    for (let index = 0; index < 1000; index += 1) checker.watch(setup.add(`http://hole${index}:1`, {}, false).id);
    await pass(setup, 1000);
    setup.registry.update(well, { status: "not_ready" });
    await pass(setup, 2000);
    expect(setup.registry.get(well)?.status).toBe("ready");
  });

  test("a change of the interval counts at once, and checks that were switched off begin", async () => {
    const setup = setUpFleet();
    const defaults = {
      endpoint: "/health",
      intervalMs: 60_000,
      timeoutMs: 100,
      failureThreshold: 1,
      successThreshold: 1,
      disabled: true,
    };
    const settings = { defaults, startupIntervalMs: 100, startupTimeoutMs: 5000, modelFallback: undefined };
    const { checker, state } = watch(setup, settings);
    const { id } = setup.add("http://one:1", {}, false);
    checker.watch(id);
    await pass(setup, 200);
    expect(state.probes).toBe(0);
    checker.replace({ ...settings, defaults: { ...defaults, disabled: false } });
    await settle();
    expect(state.probes).toBe(1);
    await pass(setup, 1000);
    expect(state.probes).toBe(1);
    checker.replace({ ...settings, defaults: { ...defaults, disabled: false, intervalMs: 500 } });
    state.isUp = false;
    await pass(setup, 1000);
    expect(setup.registry.get(id)?.status).toBe("not_ready");
  });

  test("after it is closed nothing is probed", async () => {
    const setup = setUpFleet();
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
