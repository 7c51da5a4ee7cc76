import { afterEach, describe, expect, test } from "bun:test";
import { GatewayError } from "../../src/errors/errors.ts";
import { errorState } from "../../src/threads/error-state.ts";
import type { FromThread } from "../../src/threads/messages.ts";
import { ServingThread } from "../../src/threads/serving-thread.ts";
import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { WorkerFactory } from "../../src/worker/worker-factory.ts";
import { workerState } from "../../src/worker/worker-state.ts";
import { startEngine } from "../support/engine.ts";
import { turn } from "../support/fake-threads.ts";
import { HELLO, post } from "../support/gateway.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { anyStart } from "../support/start-message.ts";

/** What a thread that serves does with each message, on this thread and with a clock that stands. */

interface Setup {
  readonly clock: ManualClock;
  readonly said: readonly FromThread[];
  readonly thread: ServingThread;
  /** Types of what was said, in its order. */
  types(): string[];
  ask(): Promise<Response>;
  /** Tells the thread of a worker that can take requests. */
  serve(url: string): void;
}

let running: ServingThread | undefined;
afterEach(async () => {
  running?.onMessage({ type: "stop" });
  running = undefined;
  await turn();
});

async function setUp(options: Parameters<typeof anyStart>[0] = {}): Promise<Setup> {
  const clock = new ManualClock();
  const said: FromThread[] = [];
  const start = anyStart({ host: "127.0.0.1", defaultPolicy: "round_robin", logLevel: "silent", ...options });
  const thread = await ServingThread.start(start, (message) => said.push(message), clock);
  running = thread;
  return {
    clock,
    said,
    thread,
    types: () => said.map(({ type }) => type),
    ask: () => post(`http://127.0.0.1:${thread.port}/v1/chat/completions`, HELLO, { connection: "close" }),
    serve(url) {
      const worker = new WorkerFactory({ ledger: new LoadLedger() }).createFromUrl(url);
      const put = { ...workerState(worker, 0), status: "ready" as const };
      thread.onMessage({ type: "change", version: 1, put, removed: undefined, tokenizer: undefined, memory: [] });
    },
  };
}

describe("a thread that serves", () => {
  test("says that a change is applied, and serves what it brings", async () => {
    await using engine = await startEngine();
    const { said, ask, serve } = await setUp();
    serve(engine.url);
    expect(said).toEqual([{ type: "applied", version: 1 }]);
    expect((await ask()).status).toBe(200);
  });

  test("answers pings, and what it is asked of itself", async () => {
    const { said, thread } = await setUp();
    thread.onMessage({ type: "ping" });
    thread.onMessage({ type: "ask", id: 7 });
    expect(said).toMatchObject([{ type: "pong" }, { type: "state", id: 7, state: { active: 0 } }]);
  });

  test("asks the control thread for a place where there is a limit, and gives it back", async () => {
    await using engine = await startEngine();
    const { said, thread, types, ask, serve } = await setUp({ maxConcurrentRequests: 5 });
    serve(engine.url);
    const asking = ask();
    while (said.length < 2) await Bun.sleep(1);
    expect(said[1]).toMatchObject({ type: "call", id: 0, call: { what: "enter" } });
    thread.onMessage({ type: "reply", id: 0, value: undefined });
    expect((await asking).status).toBe(200);
    expect(types()).toEqual(["applied", "call", "release"]);
  });

  test("is refused where the control thread refuses", async () => {
    const { said, thread, ask } = await setUp({ maxConcurrentRequests: 5 });
    const asking = ask();
    while (said.length < 1) await Bun.sleep(1);
    const error = errorState(new GatewayError("queue_full", "the line is full"));
    thread.onMessage({ type: "refusal", id: 0, error });
    expect(await (await asking).json()).toMatchObject({ error: { code: "queue_full" } });
  });

  test("takes no connection once it stops listening, and says again and again what is under way", async () => {
    const { clock, said, thread, ask } = await setUp();
    thread.onMessage({ type: "leave" });
    thread.onMessage({ type: "stopListening" });
    expect(said).toEqual([{ type: "active", active: 0 }]);
    expect(ask()).rejects.toThrow();
    clock.advance(40);
    expect(said.length).toBe(3);
  });

  test("that is stopped closes all that it has, and says so last", async () => {
    const { clock, thread, types, ask } = await setUp({ maxConcurrentRequests: 5 });
    thread.onMessage({ type: "stopListening" });
    thread.onMessage({ type: "stop" });
    running = undefined;
    while (types().at(-1) !== "stopped") await Bun.sleep(1);
    expect(ask()).rejects.toThrow();
    expect(clock.pending).toBe(0);
  });
});

describe("a thread that cannot start", () => {
  test("for its policy module throws, and leaves nothing that runs", async () => {
    const clock = new ManualClock();
    const start = anyStart({ host: "127.0.0.1", policyModule: "/no/such/policy.ts", defaultPolicy: "own" });
    const failure: unknown = await ServingThread.start(start, () => undefined, clock).catch((error: unknown) => error);
    expect(String(failure)).toContain("there is no such file");
    expect(clock.pending).toBe(0);
  });

  test("for its address throws, and leaves nothing that runs", async () => {
    const clock = new ManualClock();
    const start = anyStart({ host: "no-such-host.invalid", defaultPolicy: "round_robin" });
    const failure: unknown = await ServingThread.start(start, () => undefined, clock).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    expect(clock.pending).toBe(0);
  });
});
