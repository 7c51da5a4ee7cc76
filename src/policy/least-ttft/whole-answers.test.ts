import { expect, test } from "bun:test";
import { ServiceRates, USUAL_TOKEN_S } from "./service-rates.ts";
import { stateBytes } from "./shared-layout.ts";
import { WholeAnswers } from "./whole-answers.ts";

function tokenUs(rates: ServiceRates, slot: number): number {
  rates.settle(slot, 1);
  rates.refresh(slot, 1);
  return rates.tokenS(slot) * 1e6;
}

test("a worker whose whole answers take three times as long is taken to prefill about three times slower", () => {
  const cells = new Float64Array(stateBytes(1) / 8);
  const [whole, rates] = [new WholeAnswers(cells), new ServiceRates(cells)];
  for (let answer = 0; answer < 300; answer += 1) {
    const work = 200 + (answer % 9) * 500;
    const tokens = 20 + (answer % 7) * 30;
    const tookS = work * USUAL_TOKEN_S + tokens * 0.01;
    whole.observe(0, work, tokens, tookS);
    whole.observe(1, work, tokens, 3 * tookS);
  }
  expect(tokenUs(rates, 1) / tokenUs(rates, 0)).toBeGreaterThan(2.2);
  expect(tokenUs(rates, 1) / tokenUs(rates, 0)).toBeLessThan(3.8);
});

test("equal workers stay as fast as usual", () => {
  const cells = new Float64Array(stateBytes(1) / 8);
  const [whole, rates] = [new WholeAnswers(cells), new ServiceRates(cells)];
  for (let answer = 0; answer < 300; answer += 1) whole.observe(answer % 3, 1000, 50, 0.125 + 0.5);
  for (const slot of [0, 1, 2]) expect(tokenUs(rates, slot)).toBeCloseTo(125, 0);
});

test("an answer without a count of its tokens says nothing, and a single odd one little", () => {
  const cells = new Float64Array(stateBytes(1) / 8);
  const [whole, rates] = [new WholeAnswers(cells), new ServiceRates(cells)];
  whole.observe(0, 1000, 0, 50);
  expect(tokenUs(rates, 0)).toBe(125);
  for (let answer = 0; answer < 100; answer += 1) whole.observe(0, 1000, 50, 0.625);
  whole.observe(0, 1000, 50, 1e6);
  expect(tokenUs(rates, 0)).toBeLessThan(200);
});
