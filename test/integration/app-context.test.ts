import { expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import { createAppContext } from "../../src/context/app-context.ts";
import { PolicyRegistry } from "../../src/policy/policy-registry.ts";
import { TokenizerRegistry } from "../../src/tokenizer/tokenizer-registry.ts";
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
  expect(context.policyRegistry.getDefaultPolicy().name).toBe("least_ttft");
  expect(context.tokenizer).toBeUndefined();
});

test("a test brings its own parts, and everybody uses those", async () => {
  const ledger = new LoadLedger();
  const workerRegistry = new WorkerRegistry({ ledger });
  const policyRegistry = new PolicyRegistry({ defaultPolicy: { policy: "random", config: {} } });
  await using context = await createAppContext(quiet, { ledger, workerRegistry, policyRegistry });
  expect(workerRegistry.count()).toBe(2);
  expect(context.policyRegistry).toBe(policyRegistry);
  expect(context.policyRegistry.describe()).toMatchObject({ default: { policy: "random" } });
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

test("a start that fails closes the sockets that its probes have opened", async () => {
  let open = 0;
  const { promise: probed, resolve: onProbe } = Promise.withResolvers<void>();
  const { promise: isAlone, resolve: onAlone } = Promise.withResolvers<void>();
  // It takes connections and answers nothing.
  using engine = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: () => void (open += 1),
      data: () => onProbe(),
      close: () => {
        open -= 1;
        if (open === 0) onAlone();
      },
    },
  });
  const { config: asked } = loadConfig({
    env: {},
    flags: { ...NO_FLAGS, workers: [`http://127.0.0.1:${engine.port}`] },
  });
  // Loading waits until the probe is on its way, and fails then.
  const tokenizers = new TokenizerRegistry();
  tokenizers.whenLoaded = async () => {
    await probed;
    throw new Error("it cannot be read");
  };
  const starting = createAppContext(
    { ...asked, logLevel: "silent", enableGrpc: true, tokenizerPath: "/there/is/no/such/folder" },
    { tokenizers },
  );
  expect(String(await starting.catch((error: unknown) => error))).toContain("it cannot be read");
  await isAlone;
  expect(open).toBe(0);
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
