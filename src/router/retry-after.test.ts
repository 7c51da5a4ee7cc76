import { expect, test } from "bun:test";
import { retryAfterMs } from "./retry-after.ts";

const NOW = Date.UTC(2026, 10, 26, 12, 0, 0);
const rest = (headers: Record<string, string>): number | undefined =>
  retryAfterMs(new Map(Object.entries(headers)), NOW);

test("a rest is told in seconds, from one to two minutes", () => {
  expect(["7", "0", "119", "99999", "999999999999"].map((value) => rest({ "retry-after": value }))).toEqual([
    7000, 1000, 119_000, 120_000, 120_000,
  ]);
});

test("or as a date, in each form that HTTP has", () => {
  const forms = ["Thu, 26 Nov 2026 12:00:20 GMT", "Thursday, 26-Nov-26 12:00:20 GMT", "Thu Nov 26 12:00:20 2026"];
  expect(forms.map((value) => rest({ "retry-after": value }))).toEqual([20_000, 20_000, 20_000]);
  expect(rest({ "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" })).toBe(1000);
  expect(rest({ "retry-after": "Fri, 27 Nov 2026 12:00:00 GMT" })).toBe(120_000);
});

test("a date is read on the worker's own clock where it shows that, which may go wrong", () => {
  const headers = { date: "Thu, 26 Nov 2026 11:00:00 GMT", "retry-after": "Thu, 26 Nov 2026 11:00:30 GMT" };
  expect(rest(headers)).toBe(30_000);
});

test("or in milliseconds, which are finer and win", () => {
  expect(rest({ "retry-after-ms": "2500", "retry-after": "9" })).toBe(2500);
  expect(rest({ "retry-after-ms": "1500.5" })).toBe(1500.5);
  expect(rest({ "retry-after-ms": "soon", "retry-after": "9" })).toBe(9000);
});

test("what is neither says nothing", () => {
  const values = ["soon", "-5", "1.5", "1e3", "", "2026-11-26T12:00:20Z", "Thu, 26 Nov 2026 12:00:20 +0100", "20s"];
  expect(values.map((value) => rest({ "retry-after": value }))).toEqual(values.map(() => undefined));
});
