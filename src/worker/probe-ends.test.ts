import { expect, test } from "bun:test";
import { LeaveController } from "../util/leave-signal.ts";
import { ProbeEnds } from "./probe-ends.ts";

test("everyone who waits goes on with the next end of a probe, and not before", async () => {
  const ends = new ProbeEnds();
  const went: string[] = [];
  const waiting = ["one", "two"].map((name) => ends.next(new LeaveController()).then(() => went.push(name)));
  await Promise.resolve();
  expect(went).toEqual([]);
  ends.announce();
  await Promise.all(waiting);
  expect(went).toEqual(["one", "two"]);
});

test("one who leaves, or has left before, is not kept waiting", async () => {
  const ends = new ProbeEnds();
  const signal = new LeaveController();
  const waiting = ends.next(signal).catch(String);
  signal.leave("gone");
  expect([await waiting, await ends.next(signal).catch(String)]).toEqual(["gone", "gone"]);
});
