import { expect, test } from "bun:test";
import { RestartRests } from "./restart-rests.ts";

test("a thread that dies young rests 100 ms, then twice as long each time, up to 10 s", () => {
  const rests = new RestartRests();
  expect(Array.from({ length: 9 }, () => rests.take(1, 50))).toEqual([
    100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000,
  ]);
});

test("after half a minute of life it begins with 100 ms again", () => {
  const rests = new RestartRests();
  rests.take(1, 50);
  rests.take(1, 50);
  expect([rests.take(1, 30_001), rests.take(1, 50)]).toEqual([100, 200]);
});

test("each thread has its own, and none before its first", () => {
  const rests = new RestartRests();
  rests.take(1, 50);
  expect([rests.has(1), rests.has(2)]).toEqual([true, false]);
  expect(rests.take(2, 50)).toBe(100);
});
