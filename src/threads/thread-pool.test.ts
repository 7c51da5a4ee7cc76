import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { Metrics } from "../observability/metrics.ts";
import { setUpPool, turn } from "../../test/support/fake-threads.ts";
import { noteMethods } from "./method-cell.ts";
import type { LoggedTry } from "../router/decision-log.ts";
import type { ThreadState } from "./messages.ts";
import { ThreadPool } from "./thread-pool.ts";

function enter(id: number): Parameters<ReturnType<ReturnType<typeof setUpPool>["threads"]["latest"]>["say"]>[0] {
  const entry = { client: "everybody", priority: "normal", patienceMs: Number.POSITIVE_INFINITY } as const;
  return { type: "call", id, call: { what: "enter", entry } };
}

const DIED = "a thread died and is started anew";

describe("the start", () => {
  test("the first thread finds the port, and the others take it", async () => {
    const { threads, start } = setUpPool();
    const pool = await start();
    expect(pool.port).toBe(4000);
    expect([threads.latest(0), threads.latest(1)].map((thread) => thread.last("start")?.port)).toEqual([0, 4000]);
  });

  test("a thread that cannot listen ends the start with its own error, and no thread is left", async () => {
    const { threads, deps, lines, clock } = setUpPool();
    const starting = ThreadPool.start(deps).catch((error: unknown) => error);
    threads.latest(0).say({ type: "listening", port: 4000 });
    await turn();
    threads.latest(1).say({ type: "failed", message: "the port is taken", code: "EADDRINUSE" });
    await turn();
    clock.advance(60_000);
    expect(await starting).toMatchObject({ message: "the port is taken", code: "EADDRINUSE" });
    expect(threads.all.map(({ isTerminated }) => isTerminated)).toEqual([true, true]);
    expect(lines).toEqual([]);
  });

  test("a thread that hangs while it starts is ended in a minute", async () => {
    const { threads, deps, clock } = setUpPool();
    const starting = ThreadPool.start(deps).catch((error: unknown) => error);
    clock.advance(60_000);
    expect(threads.latest(0).isTerminated).toBe(false);
    clock.advance(1000);
    await turn();
    clock.advance(1000);
    expect(String(await starting)).toContain("it did not answer for 60 s");
  });
});

test("workers that a thread's requests found down are named to the one who has them probed", async () => {
  const { threads, deps } = setUpPool();
  const wanted: (readonly string[])[] = [];
  const starting = ThreadPool.start({
    ...deps,
    modelFinder: { ...deps.modelFinder, wanted: (workers) => wanted.push(workers) },
  });
  for (const number of [0, 1]) {
    threads.latest(number).say({ type: "listening", port: 4000 });
    await turn();
  }
  await starting;
  threads.latest(1).say({ type: "wanted", workers: ["one", "two"] });
  expect(wanted).toEqual([["one", "two"]]);
});

describe("a thread that dies", () => {
  test("is started anew after 100 ms, twice that each time it dies young, up to 10 s", async () => {
    const { threads, start, clock, lines } = setUpPool();
    await start();
    for (const restMs of [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]) {
      const before = threads.all.length;
      threads.latest(0).say({ type: "pong" });
      threads.latest(1).fail("boom");
      clock.advance(restMs - 1);
      expect(threads.all.length).toBe(before);
      clock.advance(1);
      expect(threads.all.length).toBe(before + 1);
      threads.latest(1).say({ type: "listening", port: 4000 });
    }
    expect(lines.every(([level, fields, message]) => level === "error" && "reason" in fields && message === DIED)).toBe(
      true,
    );
    // One that has lived for a while did not die of its beginning.
    for (let beat = 0; beat < 31; beat += 1) {
      clock.advance(1000);
      for (const number of [0, 1]) threads.latest(number).say({ type: "pong" });
    }
    const before = threads.all.length;
    threads.latest(1).fail("boom");
    clock.advance(100);
    expect(threads.all.length).toBe(before + 1);
  });

  test("is started anew also where the restart fails, as often as it takes, and each time is told", async () => {
    const { threads, start, clock, lines, metrics } = setUpPool();
    const pool = await start();
    threads.latest(1).fail("boom");
    for (const restMs of [100, 200, 400]) {
      clock.advance(restMs);
      threads.latest(1).say({ type: "failed", message: "the policy module cannot be read", code: undefined });
    }
    clock.advance(800);
    threads.latest(1).say({ type: "listening", port: 4000 });
    expect(lines.map(([, fields]) => ("reason" in fields ? fields.reason : ""))).toEqual([
      "boom",
      ...Array.from({ length: 3 }, () => "the policy module cannot be read"),
    ]);
    expect(metrics.expose()).toContain("pointsman_thread_restarts_total 4");
    await pool.settled();
  });

  test("gives back its places, its questions and its row of the ledger, also one it was granted and never read", async () => {
    const { threads, start, gate, ledger, clock } = setUpPool();
    await start();
    const slot = ledger.acquireSlot();
    const { LoadLedger } = await import("../worker/load-ledger.ts");
    new LoadLedger({ memory: ledger.memory, thread: 1 }).charge(slot, 7);
    for (let id = 0; id < 6; id += 1) threads.latest(1).say(enter(id));
    await turn();
    expect([gate.admitted, gate.waiting, ledger.inFlight(slot)]).toEqual([4, 2, 1]);
    threads.latest(1).fail("boom");
    await turn();
    expect([gate.admitted, gate.waiting, ledger.inFlight(slot)]).toEqual([0, 0, 0]);
    clock.advance(100);
  });

  test("during a drain is told to leave, and is not started anew once nobody listens", async () => {
    const { threads, start, clock } = setUpPool();
    const pool = await start();
    pool.beginToLeave();
    threads.latest(0).fail("boom");
    clock.advance(100);
    expect(threads.latest(0).told.map(({ type }) => type)).toEqual(["start", "leave"]);
    threads.latest(0).say({ type: "listening", port: 4000 });
    pool.stopListening();
    const before = threads.all.length;
    threads.latest(0).fail("boom");
    clock.advance(60_000);
    expect(threads.all.length).toBe(before);
  });
});

describe("a thread that hangs", () => {
  test("is ended after ten pings without an answer and started anew; the log says what it did", async () => {
    const { threads, start, clock, lines } = setUpPool();
    await start();
    const methodCell = threads.latest(1).last("start")?.methodCell ?? new SharedArrayBuffer(4);
    for (let beat = 0; beat < 10; beat += 1) {
      clock.advance(1000);
      threads.latest(0).say({ type: "pong" });
    }
    expect(threads.latest(1).isTerminated).toBe(false);
    // The control thread looks while the policy runs.
    const watch = noteMethods(methodCell);
    watch.enter("select");
    clock.advance(1000);
    watch.leave();
    expect(lines).toMatchObject([
      ["error", { thread: 1, reason: "it did not answer for 10 s", doing: "select() of the policy module" }, DIED],
    ]);
    clock.advance(100);
    expect(threads.all.length).toBe(3);
    expect(threads.all[0]?.isTerminated).toBe(false);
  });

  test("that does not close is given up after five seconds", async () => {
    const { threads, start, clock, gate } = setUpPool();
    await start();
    threads.latest(1).closesWhenTold = false;
    threads.latest(1).say(enter(0));
    await turn();
    threads.latest(1).fail("boom");
    clock.advance(4999);
    expect([threads.all.length, gate.admitted]).toEqual([2, 1]);
    clock.advance(101);
    expect([threads.all.length, gate.admitted]).toEqual([3, 0]);
    // What comes of it later says nothing any more.
    threads.all[1]?.say(enter(1));
    threads.all[1]?.close();
    await turn();
    expect(gate.admitted).toBe(0);
  });

  test("is not one that says something within ten pings, whatever it is", async () => {
    const { threads, start, clock } = setUpPool();
    await start();
    for (let beat = 0; beat < 60; beat += 1) {
      clock.advance(9000);
      for (const number of [0, 1]) threads.latest(number).say({ type: "applied", version: 0 });
    }
    expect(threads.all.length).toBe(2);
  });
});

describe("what a thread asks", () => {
  test("a client that leaves between the grant and its reading leaves no place taken", async () => {
    const { threads, start, gate } = setUpPool();
    await start();
    const thread = threads.latest(0);
    for (let id = 0; id < 60; id += 1) {
      thread.say(enter(id));
      await turn();
      expect(thread.last("reply")?.id).toBe(id);
      // The thread has not read it yet: its client is gone.
      thread.say({ type: "release", id });
    }
    expect(gate.admitted).toBe(0);
    thread.say(enter(60));
    await turn();
    expect(thread.last("reply")?.id).toBe(60);
  });

  test("a client that leaves the line leaves no place in it", async () => {
    const { threads, start, gate } = setUpPool();
    await start();
    for (let id = 0; id < 6; id += 1) threads.latest(0).say(enter(id));
    await turn();
    threads.latest(0).say({ type: "release", id: 5 });
    threads.latest(0).say({ type: "release", id: 4 });
    await turn();
    expect([gate.admitted, gate.waiting]).toEqual([4, 0]);
  });

  test("a refusal comes back with its code", async () => {
    const { threads, start } = setUpPool();
    await start();
    for (let id = 0; id < 7; id += 1) threads.latest(0).say(enter(id));
    await turn();
    expect(threads.latest(0).last("refusal")).toMatchObject({ id: 6, error: { code: "queue_full" } });
  });
});

describe("a change", () => {
  test("is settled when those that serve have taken it; one that is dying or starting is not waited for", async () => {
    const { threads, start, change, clock } = setUpPool();
    const pool = await start();
    change();
    let isSettled = false;
    void pool.settled().then(() => {
      isSettled = true;
      return undefined;
    });
    threads.latest(0).say({ type: "applied", version: 1 });
    await turn();
    expect(isSettled).toBe(false);
    threads.latest(1).closesWhenTold = false;
    threads.latest(1).fail("boom");
    threads.latest(1).close();
    await turn();
    expect(isSettled).toBe(true);
    clock.advance(100);
    // The new one begins with it.
    expect(threads.latest(1).last("start")).toMatchObject({ version: 1, workers: [{ spec: { url: "http://w1:1" } }] });
    change();
    threads.latest(0).say({ type: "applied", version: 2 });
    await pool.settled();
  });

  test("that makes a policy comes with the policy's memory, whoever listened to the registry first", async () => {
    const { threads, start, change, deps } = setUpPool({ defaultPolicy: "cache_aware" });
    await start();
    change("m");
    const { put, memory } = threads.latest(1).last("change") ?? {};
    expect(put?.spec.modelId).toBe("m");
    // The memory that the control thread's own policy has.
    const own = deps.policyMemory.all().find(([model]) => model === "m");
    expect(own && memory?.find(([model]) => model === "m")?.[1] === own[1]).toBe(true);
    change("m");
    expect(threads.latest(1).last("change")?.memory).toEqual([]);
  });

  test("that a thread does not take is waited for within five seconds, and the log names the thread", async () => {
    const { threads, start, change, clock, lines } = setUpPool();
    const pool = await start();
    change();
    threads.latest(0).say({ type: "applied", version: 1 });
    const settled = pool.settled();
    await turn();
    clock.advance(5000);
    await settled;
    expect(lines).toEqual([["warn", { threads: [1] }, "a thread has not taken a change yet"]]);
  });
});

describe("what threads count", () => {
  /** What a thread with so many requests says that it has counted. */
  async function counted(requests: number): Promise<ThreadState> {
    const own = new Metrics();
    own.increment("refusals", { code: "bad_host" }, requests);
    own.read("admitted", (set) => set({}, requests));
    return { active: requests, metrics: own.snapshot() };
  }

  test("is added up; of one that hangs or died its counts stay, and what it held does not", async () => {
    const { threads, start, clock, metrics } = setUpPool();
    const pool = await start();
    const page = async (answering: readonly number[]): Promise<(number | undefined)[]> => {
      const asking = pool.snapshots();
      for (const number of answering) {
        const thread = threads.latest(number);
        thread.say({ type: "state", id: thread.last("ask")?.id ?? -1, state: await counted(5) });
      }
      clock.advance(1000);
      const text = metrics.expose(await asking);
      const read = (name: string): number | undefined => {
        const line = text.split("\n").find((one) => one.startsWith(name) && !one.startsWith("#"));
        return line === undefined ? undefined : Number(line.split(" ").at(-1));
      };
      return [read("pointsman_refused_total"), read("pointsman_admitted_requests")];
    };
    expect(await page([0, 1])).toEqual([10, 10]);
    expect(await page([0])).toEqual([10, 5]);
    for (let times = 1; times <= 3; times += 1) {
      threads.latest(1).fail("boom");
      clock.advance(1000);
      threads.latest(1).say({ type: "listening", port: 4000 });
      expect(await page([0, 1])).toEqual([10 + 5 * times, 10]);
    }
  });
});

describe("the choices of workers that threads keep", () => {
  const query = { requestId: undefined, model: undefined, worker: undefined, limit: 3 };
  const tryAt = (at: number): LoggedTry => ({
    at,
    requestId: `r${at}`,
    endpoint: "chat_completions",
    model: "m",
    isStream: false,
    attempt: 1,
    legs: [],
  });

  test("are put in one order, the newest first, and cut to what was asked for", async () => {
    const { threads, start } = setUpPool();
    const pool = await start();
    const asking = pool.findDecisions(query);
    threads.latest(0).say({ type: "decisions", id: 0, tries: [tryAt(9), tryAt(4)] });
    threads.latest(1).say({ type: "decisions", id: 0, tries: [tryAt(7), tryAt(5)] });
    const { tries, silentThreads } = await asking;
    expect([tries.map(({ at }) => at), silentThreads]).toEqual([[9, 7, 5], []]);
  });

  test("come without those of a thread that hangs, which is named", async () => {
    const { threads, start, clock } = setUpPool();
    const pool = await start();
    const asking = pool.findDecisions(query);
    threads.latest(0).say({ type: "decisions", id: 0, tries: [tryAt(9)] });
    clock.advance(1000);
    const { tries, silentThreads } = await asking;
    expect([tries.map(({ at }) => at), silentThreads]).toEqual([[9], [1]]);
  });
});

describe("the end", () => {
  test("waits for the threads to close what they have, and ends those that do not within half a second", async () => {
    const { threads, start, clock } = setUpPool();
    const pool = await start();
    pool.failAll(new GatewayError("server_shutting_down", "bye"));
    const stopping = pool.stop();
    threads.latest(0).say({ type: "stopped" });
    expect([threads.latest(0).isTerminated, threads.latest(1).isTerminated]).toEqual([true, false]);
    clock.advance(500);
    await stopping;
    expect(threads.latest(1).isTerminated).toBe(true);
    clock.advance(60_000);
    expect(threads.all.length).toBe(2);
  });
});
