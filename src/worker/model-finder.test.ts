import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { LeaveController } from "../util/leave-signal.ts";
import { FleetModelFinder } from "./model-finder.ts";

interface Setup {
  readonly finder: FleetModelFinder;
  readonly clock: ManualClock;
  readonly served: Set<string>;
  /** Rounds of questions so far; each function ends its round. */
  readonly rounds: (() => void)[];
  /** Workers that were to be probed soon. */
  readonly probed: readonly string[];
}

function setUp(workers = 2): Setup {
  const clock = new ManualClock();
  const served = new Set(["known"]);
  const rounds: (() => void)[] = [];
  const probed: string[] = [];
  const finder = new FleetModelFinder({
    clock,
    registry: { serves: (model) => served.has(model), count: () => workers },
    askListings: () => new Promise((resolve) => rounds.push(resolve)),
    probeSoon: (id) => probed.push(id),
  });
  return { finder, clock, served, rounds, probed };
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};
const nobody = new LeaveController();

test("for a model that is served, and where there is no worker, nobody is asked", async () => {
  const { finder, rounds } = setUp();
  await finder.find("known", nobody);
  const empty = setUp(0);
  await empty.finder.find("new", nobody);
  expect([rounds.length, empty.rounds.length]).toEqual([0, 0]);
});

test("all who look at the same time share one round", async () => {
  const { finder, rounds } = setUp();
  const looks = ["a", "b", "a"].map((model) => finder.find(model, nobody));
  await settle();
  expect(rounds.length).toBe(1);
  rounds[0]?.();
  await Promise.all(looks);
});

test("a few rounds may follow each other at once, then there is one now and then, and nobody waits for it", async () => {
  const { finder, rounds, clock } = setUp();
  const look = async (): Promise<number> => {
    const asked = finder.find("a", nobody);
    await settle();
    rounds.at(-1)?.();
    await asked;
    return rounds.length;
  };
  for (let count = 0; count < 20; count += 1) await look();
  expect(rounds.length).toBe(5);
  clock.advance(539);
  expect(await look()).toBe(5);
  clock.advance(1);
  expect([await look(), await look()]).toEqual([6, 6]);
  clock.advance(60_000);
  for (let count = 0; count < 20; count += 1) await look();
  expect(rounds.length).toBe(11);
});

test("who leaves waits no longer, and the round goes on for the others", async () => {
  const { finder, rounds } = setUp();
  const leaving = new LeaveController();
  const left = finder.find("a", leaving).catch((reason: unknown) => reason);
  const stays = finder.find("a", nobody);
  leaving.leave("gone");
  expect(await left).toBe("gone");
  rounds[0]?.();
  await stays;
});

test("workers that a request wanted are each probed soon", () => {
  const { finder, probed } = setUp();
  finder.wanted(["one", "two"]);
  expect(probed).toEqual(["one", "two"]);
});
