import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { Metrics } from "../observability/metrics.ts";
import { PolicyMemory } from "../policy/policy-memory.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { WorkerFactory } from "../worker/worker-factory.ts";
import { openRegistries, type Registries } from "./registries.ts";

const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
const ignore = (): void => undefined;
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function open(options: Partial<Config>, stack: AsyncDisposableStack): Promise<Registries> {
  const ledger = new LoadLedger();
  const config = { ...defaults, ...options };
  const parts = { config, ledger, policyMemory: new PolicyMemory(), logger, clock: new ManualClock() };
  return openRegistries({ ...parts, metrics: new Metrics() }, stack);
}

function add({ ledger, workerRegistry }: Registries, modelId: string): void {
  workerRegistry.register(new WorkerFactory({ ledger }).createFromUrl(`http://${modelId}:1`, { modelId }));
}

describe("the registries of a thread", () => {
  test("begin without workers, and give each model its policy with its first", async () => {
    await using stack = new AsyncDisposableStack();
    const registries = await open(
      { defaultPolicy: "random", modelPolicies: { patterns: [{ match: "a*", policy: "round_robin", config: {} }] } },
      stack,
    );
    expect(registries.workerRegistry.count()).toBe(0);
    add(registries, "a1");
    add(registries, "b1");
    const policy = (model: string): string | undefined => registries.policyRegistry.getPolicy(model)?.name;
    expect([policy("a1"), policy("b1"), policy("c1")]).toEqual(["round_robin", "random", undefined]);
  });

  test("tell of a change with the memory of the policy that it made", async () => {
    await using stack = new AsyncDisposableStack();
    const registries = await open({ defaultPolicy: "cache_aware" }, stack);
    const told: string[][] = [];
    registries.policyFollower.onFollowed(({ memory }) => told.push(memory.map(([model]) => model)));
    add(registries, "m");
    expect(told.length).toBe(1);
    expect(told[0]).toContain("m");
  });

  test("follow no change once they are closed", async () => {
    const stack = new AsyncDisposableStack();
    const registries = await open({}, stack);
    await stack.disposeAsync();
    add(registries, "m");
    expect(registries.policyRegistry.getPolicy("m")).toBeUndefined();
  });

  test("are refused with a policy that nobody knows", async () => {
    await using stack = new AsyncDisposableStack();
    const patterns = [{ match: "*", policy: "nobody", config: {} }];
    expect(open({ modelPolicies: { patterns } }, stack)).rejects.toMatchObject({ code: "invalid_request" });
  });
});
