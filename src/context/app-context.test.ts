import { describe, expect, test } from "bun:test";
import { WatchedRegistry } from "../../test/support/watched-registry.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { workerSchema } from "../config/schema.ts";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { Metrics } from "../observability/metrics.ts";
import type { Logger } from "../observability/logger.ts";
import type { Transport } from "../transport/upstream.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { DEFAULT_SPEC } from "../worker/worker-spec.ts";
import { type AppContext, type AppContextOverrides, createAppContext } from "./app-context.ts";

const { config: defaults } = loadConfig({
  env: {},
  flags: { ...NO_FLAGS, workers: ["http://one.invalid:1", "http://two.invalid:1"] },
});
const config: Config = { ...defaults, logLevel: "silent", defaultPolicy: "round_robin" };

const SPEC = { ...DEFAULT_SPEC, url: "http://new:1" };

const quiet: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

interface Setup {
  readonly clock: ManualClock;
  readonly registry: WatchedRegistry;
  /** Probes that were sent; none is ever answered. */
  readonly sent: () => number;
  readonly overrides: AppContextOverrides;
}

/** Parts without sockets. */
function setUp(): Setup {
  const clock = new ManualClock();
  const ledger = new LoadLedger();
  const registry = new WatchedRegistry({ ledger });
  let sent = 0;
  const transport: Transport = {
    openSockets: 0,
    send: () => {
      sent += 1;
      return Promise.withResolvers<never>().promise;
    },
    forget: () => undefined,
    failAll: () => undefined,
  };
  return {
    clock,
    registry,
    sent: () => sent,
    overrides: { clock, logger: quiet, ledger, workerRegistry: registry, transport },
  };
}

async function turn(): Promise<void> {
  for (let step = 0; step < 20; step += 1) await Promise.resolve();
}

/** Expects that nothing runs any more: no timer, no listener, no probe at any later time. */
async function expectNothingRuns({ clock, registry, sent }: Setup): Promise<void> {
  expect([clock.pending, registry.listeners]).toEqual([0, 0]);
  const before = sent();
  clock.advance(3_600_000);
  await turn();
  expect([sent() - before, clock.pending]).toEqual([0, 0]);
}

/** Parts of which the `count`th access by the context throws. */
function failingAt(count: number, overrides: AppContextOverrides): AppContextOverrides {
  let looks = 0;
  return new Proxy(overrides, {
    get(target, name, receiver): unknown {
      if (name === "then") return undefined;
      looks += 1;
      if (looks === count) throw new Error(`step ${count} fails`);
      return Reflect.get(target, name, receiver);
    },
  });
}

describe("the context", () => {
  test("has the workers of the configuration in its registries, and their policies, before it is there for any router", async () => {
    const setup = setUp();
    const named = [...config.initialWorkers, { ...workerSchema.parse({ url: "http://three:1", modelId: "m" }) }];
    await using context = await createAppContext({ ...config, initialWorkers: named }, setup.overrides);
    expect(context.workerRegistry.all().map(({ url, spec }) => [url, spec.source])).toEqual([
      ["http://three:1", "file"],
      ["http://one.invalid:1", "command_line"],
      ["http://two.invalid:1", "command_line"],
    ]);
    expect(context.policyRegistry.getPolicy("m", "regular")?.name).toBe("round_robin");
    expect(context.workerSources.list().map(({ name, state, wanted }) => [name, state, wanted])).toEqual([
      ["file", "ready", 1],
      ["command_line", "ready", 2],
    ]);
  });

  test("lets workers come and go through a door to these same registries", async () => {
    const setup = setUp();
    await using context = await createAppContext({ ...config, initialWorkers: [] }, setup.overrides);
    const { routerManager, workerRegistry, policyRegistry } = context;
    const { worker } = routerManager.addWorker({ ...SPEC, modelId: "m", policyHint: "random" });
    expect([workerRegistry.get(worker.id)?.url, policyRegistry.getPolicy("m", "regular")?.name]).toEqual([
      SPEC.url,
      "random",
    ]);
    routerManager.removeWorker(worker);
    expect([workerRegistry.count(), policyRegistry.getPolicy("m", "regular")]).toEqual([0, undefined]);
  });

  test("probes each worker from the start, and after it is disposed nothing runs", async () => {
    const setup = setUp();
    const context = await createAppContext(config, setup.overrides);
    await turn();
    expect(setup.sent()).toBe(2);
    expect(setup.registry.listeners).toBeGreaterThan(0);
    await context[Symbol.asyncDispose]();
    await expectNothingRuns(setup);
  });
});

describe("a start that fails half-way leaves nothing that runs", () => {
  test("whichever step throws", async () => {
    let context: AppContext | undefined;
    let count = 0;
    while (!context) {
      count += 1;
      const setup = setUp();
      try {
        context = await createAppContext(config, failingAt(count, setup.overrides));
      } catch (error) {
        expect(String(error)).toContain(`step ${count} fails`);
        await expectNothingRuns(setup);
      }
    }
    await context[Symbol.asyncDispose]();
    // Every part that a test may bring was looked at.
    expect(count).toBeGreaterThan(10);
  });

  test("gauges that cannot be made, when the workers are there", async () => {
    const setup = setUp();
    class BrokenMetrics extends Metrics {
      override read(): never {
        throw new Error("no gauge");
      }
    }
    const starting = createAppContext(config, { ...setup.overrides, metrics: new BrokenMetrics() });
    expect(String(await starting.catch((error: unknown) => error))).toContain("no gauge");
    expect(setup.registry.count()).toBe(2);
    await expectNothingRuns(setup);
  });

  const causes: readonly [what: string, change: Partial<Config>, message: string][] = [
    ["a policy module that is not there", { policyModule: "/no/such/policy.ts" }, "there is no such file"],
    ["a policy that is not known", { defaultPolicy: "nope" }, "nope"],
    [
      "a worker that is named twice",
      { initialWorkers: [...config.initialWorkers, ...config.initialWorkers] },
      "registered already",
    ],
    [
      "a worker whose policy is not known, behind others that are taken",
      { initialWorkers: [...config.initialWorkers, { ...workerSchema.parse({ url: "http://x:1", policy: "nope" }) }] },
      "nope",
    ],
    [
      "a worker of a type that this gateway does not take",
      { initialWorkers: [{ ...workerSchema.parse({ url: "http://x:1", workerType: "decode" }) }] },
      "needs --pd-disaggregation",
    ],
    ["a tokenizer that cannot be loaded", { enableGrpc: true, tokenizerPath: "/no/such/folder" }, "tokenizer_path"],
    ["a chat template that is not there", { enableGrpc: true, tokenizerPath: "/x", chatTemplate: "/no" }, "/no"],
  ];
  for (const [what, change, message] of causes) {
    test(what, async () => {
      const setup = setUp();
      const failure: unknown = await createAppContext({ ...config, ...change }, setup.overrides).catch(
        (error: unknown) => error,
      );
      expect(String(failure)).toContain(message);
      await expectNothingRuns(setup);
    });
  }
});
