import { describe, expect, test } from "bun:test";
import { type FakeThread, fakeThreads, turn } from "../../test/support/fake-threads.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { anyStart } from "../../test/support/start-message.ts";
import type { FromThread } from "./messages.ts";
import { noteMethods } from "./method-cell.ts";
import { type ThreadEnd, ThreadHandle } from "./thread-handle.ts";

interface Setup {
  readonly clock: ManualClock;
  readonly handle: ThreadHandle;
  readonly thread: FakeThread;
  /** Messages that the handle passes on. */
  readonly passed: readonly FromThread[];
  /** How the thread ended, for each call of `onOver`. */
  readonly ends: readonly ThreadEnd[];
  /** The result of `started`, once there is one; without an error it succeeded. */
  readonly started: () => { readonly error: unknown } | undefined;
}

function setUp(): Setup {
  const clock = new ManualClock();
  const threads = fakeThreads();
  const passed: FromThread[] = [];
  const ends: ThreadEnd[] = [];
  const handle = new ThreadHandle({
    number: 0,
    version: 5,
    clock,
    spawn: threads.spawn,
    startMessage: (methodCell) => ({ ...anyStart(), methodCell }),
    onMessage: (_handle, message) => passed.push(message),
    onOver: ({ howItEnded }) => ends.push(howItEnded),
  });
  let started: { readonly error: unknown } | undefined;
  handle.started.then(
    () => (started = { error: undefined }),
    (error: unknown) => (started = { error }),
  );
  return { clock, handle, thread: threads.latest(0), passed, ends, started: () => started };
}

function setUpServing(): Setup {
  const setup = setUp();
  setup.thread.say({ type: "listening", port: 4000 });
  return setup;
}

const REASONS: Readonly<Record<string, { readonly end: (setup: Setup) => void; readonly reason: string }>> = {
  "that throws": { end: ({ thread }) => thread.fail("boom"), reason: "boom" },
  "that closes by itself": { end: ({ thread }) => thread.close(), reason: "the thread ended" },
  "that says that it failed": {
    end: ({ thread }) => thread.say({ type: "failed", message: "no module", code: undefined }),
    reason: "no module",
  },
  "that was stopped": { end: ({ thread }) => thread.say({ type: "stopped" }), reason: "it was stopped" },
  "that is told to end": { end: ({ handle }) => handle.end("enough"), reason: "enough" },
};

describe("a thread", () => {
  for (const [name, { end, reason }] of Object.entries(REASONS)) {
    for (const [state, create] of Object.entries({ "while it starts": setUp, "while it serves": setUpServing })) {
      test(`${name} ${state} is over once, and what it held is given back`, async () => {
        const setup = create();
        const { handle, ends, clock, started } = setup;
        let isWithdrawn = false;
        void handle.calls.answer(1, (signal) => {
          signal.addEventListener("abort", () => (isWithdrawn = true));
          return new Promise(() => undefined);
        });
        end(setup);
        end(setup);
        await handle.ended;
        await turn();
        expect(ends.map((one) => one.reason)).toEqual([reason]);
        expect([isWithdrawn, handle.calls.size, handle.isServing]).toEqual([true, 0, false]);
        expect(started()?.error === undefined).toBe(create === setUpServing);
        clock.advance(120_000);
        expect([ends.length, clock.pending]).toEqual([1, 0]);
      });
    }
  }

  test("that cannot start is told with its own words and code", async () => {
    const { thread, started } = setUp();
    thread.say({ type: "failed", message: "the port is taken", code: "EADDRINUSE" });
    await turn();
    expect(started()?.error).toMatchObject({ message: "the port is taken", code: "EADDRINUSE" });
  });

  test("that does not close when it is told to end is over after five seconds", () => {
    const { thread, handle, clock, ends } = setUpServing();
    thread.closesWhenTold = false;
    handle.end("enough");
    clock.advance(4999);
    expect([thread.isTerminated, ends.length]).toEqual([true, 0]);
    clock.advance(1);
    thread.close();
    expect(ends).toMatchObject([{ reason: "enough" }]);
  });

  test("says nothing and is told nothing while it ends, but for its last lines", () => {
    const { thread, handle, passed } = setUpServing();
    thread.closesWhenTold = false;
    handle.end("enough");
    const told = thread.told.length;
    handle.post({ type: "leave" });
    thread.say({ type: "applied", version: 9 });
    thread.say({ type: "log", text: "bye\n" });
    expect([thread.told.length, handle.version]).toEqual([told, 5]);
    expect(passed.map(({ type }) => type)).toEqual(["listening", "log"]);
  });
});

describe("pings", () => {
  test("end a thread that answers none of ten while it serves; the end names the method that it ran", () => {
    const { thread, clock, ends } = setUpServing();
    noteMethods(thread.last("start")?.methodCell ?? new SharedArrayBuffer(4)).enter("pick");
    clock.advance(10_000);
    expect(ends).toEqual([]);
    clock.advance(1000);
    expect(ends).toEqual([
      {
        reason: "it did not answer for 10 s",
        code: undefined,
        isOutdated: false,
        method: "pick() of the policy module",
      },
    ]);
  });

  test("wait a minute for a thread that starts", () => {
    const { clock, ends } = setUp();
    clock.advance(60_000);
    expect(ends).toEqual([]);
    clock.advance(1000);
    expect(ends).toMatchObject([{ reason: "it did not answer for 60 s", method: undefined }]);
  });

  test("are answered by whatever a thread says", () => {
    const { thread, clock, ends } = setUpServing();
    for (let beat = 0; beat < 5; beat += 1) {
      clock.advance(9000);
      thread.say(beat % 2 === 0 ? { type: "pong" } : { type: "applied", version: beat });
    }
    expect(ends).toEqual([]);
  });
});

describe("what is known of a thread", () => {
  test("is the version that it began with, then the one that it applied last", () => {
    const { thread, handle } = setUpServing();
    expect(handle.version).toBe(5);
    thread.say({ type: "applied", version: 6 });
    expect(handle.version).toBe(6);
  });

  test("it may have a request under way from when it stops listening until it says otherwise", () => {
    const { thread, handle } = setUpServing();
    expect(handle.active).toBe(0);
    handle.stopListening();
    expect([handle.active, thread.told.at(-1)]).toEqual([1, { type: "stopListening" }]);
    thread.say({ type: "active", active: 3 });
    expect(handle.active).toBe(3);
    thread.say({ type: "active", active: 0 });
    expect(handle.active).toBe(0);
  });

  test("is asked for its state, which a thread that hangs does not hold up for more than a second", async () => {
    const { thread, handle, clock } = setUpServing();
    const first = handle.ask();
    thread.say({ type: "state", id: 0, state: { active: 1, metrics: {} } });
    expect(await first).toEqual({ active: 1, metrics: {} });
    const second = handle.ask();
    clock.advance(1000);
    expect([await second, handle.metrics]).toEqual([undefined, {}]);
    // It comes too late: the question is over.
    thread.say({ type: "state", id: 1, state: { active: 2, metrics: {} } });
  });

  test("is asked for its choices of workers, within a second as well", async () => {
    const { thread, handle, clock } = setUpServing();
    const query = { requestId: "r1", model: undefined, worker: undefined, limit: 5 };
    const first = handle.findDecisions(query);
    expect(thread.last("findDecisions")).toEqual({ type: "findDecisions", id: 0, query });
    thread.say({ type: "decisions", id: 0, tries: [] });
    const second = handle.findDecisions(query);
    clock.advance(1000);
    expect([await first, await second]).toEqual([[], undefined]);
    expect(await setUp().handle.findDecisions(query)).toBeUndefined();
  });

  test("is nothing while it starts and once it ends, also for who has asked before", async () => {
    expect(await setUp().handle.ask()).toBeUndefined();
    const { handle } = setUpServing();
    const asked = handle.ask();
    handle.end("enough");
    expect([await asked, await handle.ask()]).toEqual([undefined, undefined]);
  });
});
