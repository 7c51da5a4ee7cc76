import { afterEach, describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import { openRegistries } from "../../src/context/registries.ts";
import { type ServingUnit, startServingUnit } from "../../src/context/serving-unit.ts";
import { sharesOf } from "../../src/context/shares.ts";
import { GatewayError } from "../../src/errors/errors.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { LiveConfig } from "../../src/reload/live-config.ts";
import { PolicyMemory } from "../../src/policy/policy-memory.ts";
import { LocalGate } from "../../src/server/gate.ts";
import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { WorkerFactory } from "../../src/worker/worker-factory.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { WatchedRegistry } from "../support/watched-registry.ts";
import { authOf, ringOf } from "../support/keys.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { createVia } from "../../src/transport/via.ts";
import { PUBLIC_WORKERS } from "../../src/transport/tls/worker-tls.ts";

const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
const ignore = (): void => undefined;
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

let opened = new AsyncDisposableStack();
afterEach(async () => {
  await opened.disposeAsync();
  opened = new AsyncDisposableStack();
});

interface Setup {
  readonly clock: ManualClock;
  readonly registry: WatchedRegistry;
  readonly metrics: Metrics;
  /** Registers a worker that can take requests. Returns its id. */
  addReady(url: string): string;
  /** Starts a unit on the port; any free one without. */
  start(port?: number): ServingUnit;
}

/** The registries and the gate of a thread, without anything that looks after the workers. */
async function setUp(): Promise<Setup> {
  const config = { ...defaults, host: "127.0.0.1", defaultPolicy: "round_robin" as const };
  const clock = new ManualClock();
  const ledger = new LoadLedger();
  const registry = new WatchedRegistry({ ledger });
  const metrics = new Metrics();
  const registries = await openRegistries(
    { config, ledger, policyMemory: new PolicyMemory(), logger, clock, metrics, given: { workerRegistry: registry } },
    opened,
  );
  return {
    clock,
    registry,
    metrics,
    addReady(url) {
      const worker = new WorkerFactory({ ledger }).createFromUrl(url);
      registry.register(worker);
      registry.update(worker.id, { status: "ready" });
      return worker.id;
    },
    start: (port = 0) =>
      startServingUnit({
        live: new LiveConfig(config),
        ...registries,
        config,
        clock,
        logger,
        metrics,
        hostname: config.host,
        port,
        reusePort: false,
        certificates: { main: undefined, workers: PUBLIC_WORKERS },
        via: createVia(),
        auth: authOf(),
        limits: ringOf().limits(),
        gate: new LocalGate(
          { maxConcurrent: 9, maxConcurrentOf: () => 9, queueSize: 9, queueTimeoutMs: 60_000 },
          clock,
        ),
        outcomes: { report: ignore },
        finder: { find: () => Promise.resolve(), wanted: ignore },
        shares: sharesOf(config, 1),
        routes: [],
        answer: () => Promise.reject(new Error("there are no such routes")),
      }),
  };
}

describe("a serving unit", () => {
  test("whose port is taken throws, and leaves no timer and nothing that follows the registry", async () => {
    const { clock, registry, start } = await setUp();
    const listeners = registry.listeners;
    using taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: ignore } });
    expect(() => start(taken.port)).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
    expect([clock.pending, registry.listeners]).toEqual([0, listeners]);
  });

  test("that is disposed listens no more, and leaves no timer and nothing that follows the registry", async () => {
    await using engine = await startEngine();
    const { clock, registry, addReady, start } = await setUp();
    const listeners = registry.listeners;
    const unit = start();
    addReady(engine.url);
    const url = `http://127.0.0.1:${unit.port}/v1/chat/completions`;
    expect((await post(url, HELLO)).status).toBe(200);
    unit[Symbol.dispose]();
    expect(post(url, HELLO)).rejects.toThrow();
    expect([clock.pending, registry.listeners, unit.active]).toEqual([0, listeners, 0]);
  });

  test("ends what waits for a worker with the error that it is told, and serves on", async () => {
    const held = Promise.withResolvers<Response>();
    let isHeld = true;
    await using engine = await startEngine({ respond: () => (isHeld ? held.promise : undefined) });
    const { addReady, start } = await setUp();
    using unit = start();
    addReady(engine.url);
    const url = `http://127.0.0.1:${unit.port}/v1/chat/completions`;
    const asking = post(url, HELLO);
    while (engine.requests.length === 0) await Bun.sleep(1);
    expect(unit.active).toBe(1);
    unit.failAll(new GatewayError("server_shutting_down", "bye"));
    expect(await (await asking).json()).toMatchObject({ error: { code: "server_shutting_down" } });
    isHeld = false;
    expect((await post(url, HELLO)).status).toBe(200);
    held.resolve(new Response());
  });

  test("keeps no socket to a worker that has left", async () => {
    await using engine = await startEngine();
    const { registry, metrics, addReady, start } = await setUp();
    using unit = start();
    const id = addReady(engine.url);
    await (await post(`http://127.0.0.1:${unit.port}/v1/chat/completions`, HELLO)).text();
    const sockets = (): string | undefined =>
      metrics
        .expose()
        .split("\n")
        .find((line) => line.startsWith("pointsman_upstream_sockets "));
    expect(sockets()).toBe("pointsman_upstream_sockets 1");
    registry.remove(id);
    expect(sockets()).toBe("pointsman_upstream_sockets 0");
  });
});
