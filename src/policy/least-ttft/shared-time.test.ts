import { expect, test } from "bun:test";
import { SharedTime } from "./shared-time.ts";

test("a thread whose clock started later has the time of the others", () => {
  const cells = new Float64Array(1);
  let [oneMs, twoMs] = [50_000, 3];
  const [one, two] = [new SharedTime(cells, 0, () => oneMs), new SharedTime(cells, 0, () => twoMs)];
  expect(one.now()).toBe(50);
  expect(two.now()).toBe(50);
  oneMs += 250;
  twoMs += 250;
  expect(two.now()).toBeCloseTo(50.25, 9);
  expect(one.now()).toBeCloseTo(50.25, 9);
});

test("no thread's time goes back", () => {
  const cells = new Float64Array(1);
  let ms = 1000;
  const time = new SharedTime(cells, 0, () => ms);
  expect(time.now()).toBe(1);
  ms = 400;
  expect(time.now()).toBe(1);
  ms = 500;
  expect(time.now()).toBeCloseTo(1.1, 9);
});

test("a thread that starts anew goes on where the others are", () => {
  const cells = new Float64Array(1);
  new SharedTime(cells, 0, () => 90_000).now();
  expect(new SharedTime(cells, 0, () => 1).now()).toBe(90);
});
