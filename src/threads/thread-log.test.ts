import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { FromThread } from "./messages.ts";
import { ThreadLog } from "./thread-log.ts";

function setUp(): { readonly log: ThreadLog; readonly clock: ManualClock; readonly said: readonly FromThread[] } {
  const clock = new ManualClock();
  const said: FromThread[] = [];
  return { clock, said, log: new ThreadLog((message) => said.push(message), clock) };
}

test("lines go to the control thread together, 50 ms after the first", () => {
  const { log, clock, said } = setUp();
  expect(log.write("one\n")).toBe(4);
  clock.advance(30);
  log.write("two\n");
  clock.advance(19);
  expect(said).toEqual([]);
  clock.advance(1);
  expect(said).toEqual([{ type: "log", text: "one\ntwo\n" }]);
  log.write("three\n");
  clock.advance(50);
  expect(said[1]).toEqual({ type: "log", text: "three\n" });
});

test("a flush sends what is there at once, and later there is nothing more", () => {
  const { log, clock, said } = setUp();
  log.flush();
  log.write("one\n");
  log.flush();
  clock.advance(1000);
  expect(said).toEqual([{ type: "log", text: "one\n" }]);
  expect(clock.pending).toBe(0);
});
