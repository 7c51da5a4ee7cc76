import { expect, test } from "bun:test";
import { percent, short, time, withHalf } from "./numbers.ts";

test("numbers have about three digits, and a dash stands for none", () => {
  expect([0, 0.1234, 1.234, 12.34, 123.4, 12_345, Number.NaN, Number.POSITIVE_INFINITY].map(short)).toEqual([
    "0.00",
    "0.123",
    "1.23",
    "12.3",
    "123",
    "12345",
    "-",
    "-",
  ]);
});

test("times from ten seconds on are in seconds, shares in percent", () => {
  expect([time(9999), time(10_000), time(Number.NaN)]).toEqual(["9999 ms", "10.0 s", "-"]);
  expect([percent(0.1234), percent(1), percent(Number.NaN)]).toEqual(["12.3 %", "100.0 %", "-"]);
});

test("an estimate of one seed has no confidence", () => {
  expect([withHalf({ mean: 5, half: 0.25 }), withHalf({ mean: 5, half: Number.NaN })]).toEqual(["5.00 ±0.250", "5.00"]);
});
