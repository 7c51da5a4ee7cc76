import { expect, test } from "bun:test";
import { Attention } from "./attention.ts";
import { prefillWork } from "./cost.ts";
import { stateBytes } from "./shared-layout.ts";

const TOKEN_S = 6e-5;
const TRUE = 2e-5;

function create(): Attention {
  return new Attention(new Float64Array(stateBytes(1) / 8));
}

/** Prompts of many lengths, some with a cached part, at an engine whose tokens cost this much attention. */
function observe(attention: Attention, perToken: number, count: number, lengths = [1000, 4000, 16_000, 60_000]): void {
  for (let sample = 0; sample < count; sample += 1) {
    const uncached = lengths[sample % lengths.length] ?? 0;
    const cached = sample % 3 === 0 ? 20_000 : 0;
    attention.observe(cached, uncached, TOKEN_S * prefillWork(cached, uncached, perToken), sample);
  }
}

test("what attention costs is learned from prompts of different lengths", () => {
  const attention = create();
  observe(attention, TRUE, 200);
  expect(attention.perToken / TRUE).toBeCloseTo(1, 1);
});

test("it counts for nothing before enough long prompts were seen", () => {
  const attention = create();
  observe(attention, TRUE, 3);
  expect(attention.perToken).toBe(0);
  observe(attention, TRUE, 30);
  expect(attention.perToken).toBeGreaterThan(0);
});

test("prompts of about one length say nothing of it", () => {
  const attention = create();
  for (let sample = 0; sample < 200; sample += 1)
    attention.observe(0, 2000 + (sample % 7), 0.1 + (sample % 5) / 100, 0);
  expect(attention.perToken).toBeLessThan(2e-6);
});

test("it is never below 0, nor above 2e-4", () => {
  const [cheaper, dear] = [create(), create()];
  for (let sample = 0; sample < 100; sample += 1) {
    const uncached = sample % 2 === 0 ? 1000 : 50_000;
    cheaper.observe(0, uncached, 0.1, sample);
    dear.observe(0, uncached, uncached * uncached, sample);
  }
  expect(cheaper.perToken).toBe(0);
  expect(dear.perToken).toBe(2e-4);
});

test("short prompts, and times that are none, are left out", () => {
  const attention = create();
  observe(attention, TRUE, 200);
  const before = attention.perToken;
  attention.observe(100_000, 512, 50, 0);
  attention.observe(0, 5000, -0.01, 0);
  attention.observe(0, 5000, Number.NaN, 0);
  expect(attention.perToken).toBe(before);
});
