import { expect, test } from "bun:test";
import { setUpPool, turn } from "../../test/support/fake-threads.ts";
import type { Configure } from "./messages.ts";
import { ThreadPool } from "./thread-pool.ts";

/** The last step that a thread was asked for. */
function step(told: Configure | undefined): Configure {
  if (!told) throw new Error("the thread was not asked");
  return told;
}

/** Answers the last step of each of two threads. */
function answer(setup: ReturnType<typeof setUpPool>, ...refusals: readonly (string | undefined)[]): void {
  for (const [number, refusal] of refusals.entries()) {
    const thread = setup.threads.latest(number);
    thread.say({ type: "configured", id: step(thread.last("configure")).id, outcome: { refusal } });
  }
}

const wanted = (setup: ReturnType<typeof setUpPool>) => ({ ...setup.deps.config, queueSize: 7 });

test("all threads check a change before any carries it out, and threads that start later begin with it", async () => {
  const setup = setUpPool();
  await setup.start();
  const checking = setup.live.check(wanted(setup));
  await turn();
  expect([0, 1].map((number) => step(setup.threads.latest(number).last("configure")).step)).toEqual(["check", "check"]);
  answer(setup, undefined, undefined);
  await checking;
  const applying = setup.live.apply(wanted(setup));
  const told = step(setup.threads.latest(0).last("configure"));
  expect([told.step, told.config["queueSize"]]).toEqual(["apply", 7]);
  answer(setup, undefined, undefined);
  await applying;
  setup.threads.latest(1).fail("it broke");
  setup.threads.latest(1).close();
  setup.clock.advance(1000);
  expect(setup.threads.latest(1).last("start")?.config["queueSize"]).toBe(7);
});

test("a thread that refuses, or does not answer, keeps a change from being carried out", async () => {
  const setup = setUpPool();
  await setup.start();
  const refused = setup.live.check(wanted(setup));
  await turn();
  answer(setup, undefined, "no memory");
  expect(refused).rejects.toThrow("thread 1: no memory");
  const silent = setup.live.check(wanted(setup));
  await turn();
  answer(setup, undefined);
  setup.clock.advance(5000);
  expect(silent).rejects.toThrow("thread 1 does not answer");
});

test("where one thread cannot carry a change out, all go back to the configuration of before", async () => {
  const setup = setUpPool();
  await setup.start();
  const applying = setup.live.apply(wanted(setup)).catch((error: unknown) => String(error));
  answer(setup, undefined, "no memory");
  await turn();
  expect([0, 1].map((number) => step(setup.threads.latest(number).last("configure")).config["queueSize"])).toEqual([
    2, 2,
  ]);
  answer(setup, undefined, undefined);
  expect(await applying).toContain("thread 1: no memory");
  expect(setup.live.config.queueSize).toBe(2);
});

test("a thread that does not answer to a change is ended, and begins anew with it; the others have it", async () => {
  const setup = setUpPool();
  await setup.start();
  const applying = setup.live.apply(wanted(setup));
  answer(setup, undefined);
  setup.clock.advance(5000);
  await applying;
  expect(setup.threads.all.filter(({ isTerminated }) => isTerminated)).toHaveLength(1);
  setup.clock.advance(1000);
  expect(setup.threads.latest(1).last("start")?.config["queueSize"]).toBe(7);
});

test("a thread that starts while the configuration changes begins anew with it", async () => {
  const setup = setUpPool();
  await setup.start();
  setup.threads.latest(1).fail("it broke");
  setup.threads.latest(1).close();
  setup.clock.advance(1000);
  const starting = setup.threads.latest(1);
  const applying = setup.live.apply(wanted(setup));
  answer(setup, undefined);
  await applying;
  expect([starting.isTerminated, starting.last("start")?.config["queueSize"]]).toEqual([true, 2]);
  expect(setup.threads.latest(1).last("start")?.config["queueSize"]).toBe(7);
  // The thread that broke is the only one that died.
  expect(setup.lines.filter(([, , message]) => message === "a thread died and is started anew")).toHaveLength(1);
});

test("a gateway whose configuration changes while its threads start for the first time starts with the new one", async () => {
  const setup = setUpPool();
  const starting = ThreadPool.start(setup.deps);
  const change = async (queueSize: number): Promise<void> => {
    const applying = setup.live.apply({ ...setup.deps.config, queueSize });
    await turn();
    for (const thread of setup.threads.all) {
      const asked = thread.last("configure");
      if (asked && !thread.isTerminated)
        thread.say({ type: "configured", id: asked.id, outcome: { refusal: undefined } });
    }
    await applying;
    await turn();
  };
  await turn();
  await change(7);
  setup.threads.latest(0).say({ type: "listening", port: 1234 });
  await turn();
  await change(8);
  await change(9);
  setup.threads.latest(1).say({ type: "listening", port: 1234 });
  const pool = await starting;
  const begunWith = setup.threads.all.map((thread) => thread.last("start")?.config["queueSize"]);
  expect([begunWith, setup.lines]).toEqual([[2, 7, 7, 8, 9], []]);
  const stopping = pool.stop();
  for (const number of [0, 1]) setup.threads.latest(number).say({ type: "stopped" });
  await stopping;
});

test("a thread that cannot start ends the start, also after a change of the configuration", async () => {
  const setup = setUpPool();
  const starting = ThreadPool.start(setup.deps).then(
    () => "it started",
    (error: unknown) => String(error),
  );
  await turn();
  await setup.live.apply(wanted(setup));
  await turn();
  setup.threads.latest(0).say({ type: "failed", message: "the port is in use", code: "EADDRINUSE" });
  expect([await starting, setup.threads.all.length]).toEqual(["Error: the port is in use", 2]);
});
