import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { FileWatch } from "./file-watch.ts";

interface Setup extends Disposable {
  readonly clock: ManualClock;
  readonly states: Map<string, string>;
  /** States of the configuration file each time that it was read. */
  readonly read: string[];
  /** What the next readings end with. */
  outcome: () => Promise<unknown>;
  files: string[];
  /** Lets so many seconds pass, one by one. */
  pass(secs: number): Promise<void>;
}

function setUp(): Setup {
  const clock = new ManualClock();
  const states = new Map([["a.yaml", "1"]]);
  const read: string[] = [];
  const setup = { outcome: () => Promise.resolve(), files: ["a.yaml"] } as Pick<Setup, "outcome" | "files">;
  const watch = new FileWatch({
    clock,
    files: () => setup.files,
    stateOf: (file) => states.get(file) ?? "missing",
    onChange: () => {
      read.push(states.get("a.yaml") ?? "missing");
      return setup.outcome();
    },
  });
  return Object.assign(setup, {
    clock,
    states,
    read,
    async pass(secs: number) {
      for (let second = 0; second < secs; second += 1) {
        clock.advance(1000);
        for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
      }
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  });
}

test("a file is read when it has changed and stayed so for a second, once", async () => {
  using setup = setUp();
  await setup.pass(3);
  expect(setup.read).toEqual([]);
  setup.states.set("a.yaml", "2");
  await setup.pass(1);
  setup.states.set("a.yaml", "3");
  await setup.pass(1);
  expect(setup.read).toEqual([]);
  await setup.pass(1);
  expect(setup.read).toEqual(["3"]);
  await setup.pass(60);
  expect(setup.read).toEqual(["3"]);
});

test("so is one that goes and comes back, and the file of a secret that it names", async () => {
  using setup = setUp();
  setup.states.delete("a.yaml");
  await setup.pass(1);
  setup.states.set("a.yaml", "2");
  await setup.pass(2);
  expect(setup.read).toEqual(["2"]);
  // From now on it names a secret, whose state is news, but not to be read once more.
  setup.states.set("a.yaml", "3");
  setup.outcome = () => {
    setup.files = ["a.yaml", "key"];
    return Promise.resolve();
  };
  await setup.pass(4);
  expect(setup.read).toEqual(["2", "3"]);
  setup.states.set("key", "1");
  await setup.pass(2);
  expect(setup.read).toEqual(["2", "3", "3"]);
});

test("what was refused is tried again after half a minute, and after each change", async () => {
  using setup = setUp();
  setup.outcome = () => Promise.reject(new Error("wrong"));
  setup.states.set("a.yaml", "2");
  await setup.pass(2);
  await setup.pass(28);
  expect(setup.read).toEqual(["2"]);
  await setup.pass(3);
  expect(setup.read).toEqual(["2", "2"]);
  setup.outcome = () => Promise.resolve();
  setup.states.set("a.yaml", "3");
  await setup.pass(2);
  expect(setup.read).toEqual(["2", "2", "3"]);
  await setup.pass(100);
  expect(setup.read).toHaveLength(3);
});

test("while a change is being made none is begun, and after the end none at all", async () => {
  const setup = setUp();
  const gate = Promise.withResolvers<void>();
  setup.outcome = () => gate.promise;
  setup.states.set("a.yaml", "2");
  await setup.pass(2);
  setup.states.set("a.yaml", "3");
  await setup.pass(5);
  expect(setup.read).toEqual(["2"]);
  gate.resolve();
  await setup.pass(2);
  expect(setup.read).toEqual(["2", "3"]);
  setup[Symbol.dispose]();
  setup.states.set("a.yaml", "4");
  await setup.pass(5);
  expect(setup.read).toHaveLength(2);
});
