import { expect, test } from "bun:test";
import { DrainRates } from "./drain-rates.ts";

/** Tokens a second that it expects of a worker. */
const rate = (rates: DrainRates, slot: number): number => 1 / rates.secsFor(slot, 1);

test("a worker of which nothing is known has a plausible rate, and then that of the others", () => {
  const rates = new DrainRates();
  expect(rate(rates, 0)).toBe(8000);
  for (let count = 0; count < 500; count += 1) rates.learn(1, 2000, 1000);
  expect(rate(rates, 0)).toBeCloseTo(2000, 0);
});

test("the rate of each worker is learned within a few requests, and follows a change", () => {
  const rates = new DrainRates();
  for (let count = 0; count < 60; count += 1) {
    rates.learn(0, 6000, 1000);
    rates.learn(1, 2000, 1000);
  }
  expect(rate(rates, 0)).toBeWithin(5500, 6500);
  expect(rate(rates, 1)).toBeWithin(1900, 2300);
  for (let count = 0; count < 150; count += 1) rates.learn(0, 3000, 1000);
  expect(rate(rates, 0)).toBeWithin(2800, 3400);
});

test("a worker that was restarted counts as the mean of all again", () => {
  const rates = new DrainRates();
  for (let count = 0; count < 60; count += 1) {
    rates.learn(0, 6000, 1000);
    rates.learn(1, 2000, 1000);
  }
  rates.forget(1);
  expect(rate(rates, 1)).toBeCloseTo(rate(rates, 7), 6);
});

test("a sample without tokens or time changes nothing", () => {
  const rates = new DrainRates();
  rates.learn(0, 0, 1000);
  rates.learn(0, 1000, 0);
  expect(rate(rates, 0)).toBe(8000);
});
