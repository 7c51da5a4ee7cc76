import { expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import { createAppContext } from "../../src/context/app-context.ts";
import { PolicyRegistry } from "../../src/policy/policy-registry.ts";
import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { WorkerRegistry } from "../../src/worker/worker-registry.ts";
import { ManualClock } from "../support/manual-clock.ts";

const { config } = loadConfig({
  env: {},
  flags: { ...NO_FLAGS, workers: ["http://127.0.0.1:9", "http://127.0.0.1:10"] },
});
const quiet = { ...config, logLevel: "silent" as const };

test("the registries have their workers before any router could be asked", async () => {
  await using context = await createAppContext(quiet);
  expect(context.workerRegistry.count()).toBe(2);
  expect(context.policyRegistry.getDefaultPolicy().name).toBe("cache_aware");
  expect(context.tokenizer).toBeUndefined();
});

test("a test brings its own parts, and everybody uses those", async () => {
  const ledger = new LoadLedger();
  const workerRegistry = new WorkerRegistry({ ledger });
  const policyRegistry = new PolicyRegistry({ defaultPolicy: { policy: "random", config: {} } });
  await using context = await createAppContext(quiet, { ledger, workerRegistry, policyRegistry });
  expect(workerRegistry.count()).toBe(2);
  expect(context.routerManager.describePolicies()).toMatchObject({ default: { policy: "random" } });
});

test("what was made before a failure half-way is closed again", async () => {
  const clock = new ManualClock();
  const twice = { ...quiet, initialWorkers: [...quiet.initialWorkers, ...quiet.initialWorkers] };
  expect(createAppContext(twice, { clock })).rejects.toThrow("registered already");
  await Bun.sleep(0);
  // A health checker that lived on would have timers here.
  let isRunning = false;
  clock.after(0, () => (isRunning = true));
  clock.advance(60_000);
  expect([isRunning, clock.pending]).toEqual([true, 0]);
});

test("a tokenizer that cannot be loaded leaves nothing that runs", async () => {
  const clock = new ManualClock();
  const asked = { ...quiet, enableGrpc: true, tokenizerPath: "/there/is/no/such/folder" };
  const failure: unknown = await createAppContext(asked, { clock }).catch((error: unknown) => error);
  expect(String(failure)).toContain("tokenizer_path");
  clock.advance(3_600_000);
  expect(clock.pending).toBe(0);
});

test("disposing stops what was started: no timer is left, and nothing is sent any more", async () => {
  const clock = new ManualClock();
  const context = await createAppContext(quiet, { clock });
  await context[Symbol.asyncDispose]();
  clock.advance(3_600_000);
  expect(clock.pending).toBe(0);
  const request = {
    origin: "http://127.0.0.1:9",
    method: "GET",
    path: "/",
    headers: "",
    body: undefined,
    timeouts: { connectMs: 1, firstByteMs: 1, idleMs: 1 },
    deadline: 1e12,
  };
  expect(context.transport.send(request, undefined)).rejects.toThrow("shutting down");
});
