import { expect, test } from "bun:test";
import { count, percent, short, shortName, withHalf } from "./numbers.ts";

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

test("a long name is shortened in its middle, so that options that differ stay apart", () => {
  const names = ["least_ttft", "cache_aware:cache_threshold=0.5", "cache_aware:cache_threshold=0.6"];
  expect(names.map((name) => shortName(name, 20))).toEqual([
    "least_ttft",
    "cache_awar…shold=0.5",
    "cache_awar…shold=0.6",
  ]);
  expect(shortName("x".repeat(20), 20)).toBe("x".repeat(20));
});

test("counts are whole where they can be, and shares are in percent", () => {
  expect([count(0), count(12_345), count(0.5)]).toEqual(["0", "12345", "0.500"]);
  expect([percent(0.1234), percent(1), percent(Number.NaN)]).toEqual(["12.3 %", "100.0 %", "-"]);
});

test("an estimate of one seed has no confidence", () => {
  expect([withHalf({ mean: 5, half: 0.25 }), withHalf({ mean: 5, half: Number.NaN })]).toEqual(["5.00 ±0.250", "5.00"]);
});
