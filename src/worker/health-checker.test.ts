import { describe, expect, test } from "bun:test";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import type { Logger } from "../observability/logger.ts";
import { HealthChecker, type HealthCheckerDeps } from "./health-checker.ts";
import { createHttpProber } from "./prober.ts";

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
    setup: FleetSetup,
    options: Partial<HealthCheckerDeps> = {},
  ): { checker: HealthChecker; state: { isUp: boolean; probes: number } } {
    const state = { isUp: true, probes: 0 };
    const prober = createHttpProber(
      async () => {
        state.probes += 1;
        return state.isUp;
      },
      async (url) => (url.endsWith("/v1/models") ? { data: [{ id: "found", owned_by: "vllm" }] } : undefined),
    );
    const checker = new HealthChecker({
      registry: setup.registry,
      clock: setup.clock,
      logger: silent,
      probers: { http: prober, grpc: prober },
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

  test("unhealthy workers leave for good where that is wanted", async () => {
    const setup = setUpFleet();
    const { checker, state } = watch(setup, { removeUnhealthy: true });
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
