import { beforeEach, describe, expect, test } from "bun:test";
import { stateBytes } from "./shared-layout.ts";
import { UsageFeedback } from "./usage-feedback.ts";

let cells = new Float64Array(0);
let feedback = new UsageFeedback(cells);

beforeEach(() => {
  cells = new Float64Array(stateBytes(1) / 8);
  feedback = new UsageFeedback(cells);
});

describe("tokens for each byte", () => {
  test("are a quarter before an answer has told", () => {
    expect(feedback.tokensPerByte).toBe(0.25);
  });

  test("move by a fiftieth towards each answer's ratio", () => {
    feedback.promptTokens(1000, 500);
    expect(feedback.tokensPerByte).toBeCloseTo(0.255, 12);
    for (let answer = 0; answer < 400; answer += 1) feedback.promptTokens(1000, 500);
    expect(feedback.tokensPerByte).toBeCloseTo(0.5, 3);
  });

  test("are not taken from short prompts, where the template counts more than the text, nor from a count of 0", () => {
    feedback.promptTokens(100, 90);
    feedback.promptTokens(1000, 0);
    expect(feedback.tokensPerByte).toBe(0.25);
  });

  test("are at most one, and at least a sixty-fourth, whatever an engine says", () => {
    for (let answer = 0; answer < 1000; answer += 1) feedback.promptTokens(1000, 1e9);
    expect(feedback.tokensPerByte).toBeCloseTo(1, 6);
    for (let answer = 0; answer < 1000; answer += 1) feedback.promptTokens(1e9, 1);
    expect(feedback.tokensPerByte).toBeCloseTo(1 / 64, 6);
  });
});

describe("the worth of a prefix in flight", () => {
  test("is a half at first", () => {
    expect(feedback.shared).toBe(0.5);
  });

  test("goes to 1 where siblings find all of it, as with vLLM, and to 0 where they find nothing", () => {
    feedback.answered(true);
    feedback.cachedTokens(2000, 1000, 2000);
    expect(feedback.shared).toBeCloseTo(0.75, 12);
    for (let answer = 0; answer < 50; answer += 1) feedback.cachedTokens(2000, 1000, 2000);
    expect(feedback.shared).toBeCloseTo(1, 3);
    for (let answer = 0; answer < 50; answer += 1) feedback.cachedTokens(1000, 1000, 2000);
    expect(feedback.shared).toBeCloseTo(0, 3);
  });

  test("is the mean of a half and the first values, and moves by a fifth towards each later one", () => {
    feedback.answered(true);
    for (const [found, mean] of [
      [1500, 0.5],
      [2000, (0.5 + 0.5 + 1) / 3],
      [1000, (0.5 + 0.5 + 1 + 0) / 4],
      [2000, 0.5 + 0.2 * 0.5],
      [2000, 0.6 + 0.2 * 0.4],
    ] as const) {
      feedback.cachedTokens(found, 1000, 2000);
      expect(feedback.shared).toBeCloseTo(mean, 12);
    }
  });

  test("stays from 0 to 1 whatever an engine says", () => {
    feedback.answered(true);
    for (let answer = 0; answer < 50; answer += 1) feedback.cachedTokens(1e9, 1000, 2000);
    expect(feedback.shared).toBeCloseTo(1, 3);
    for (let answer = 0; answer < 50; answer += 1) feedback.cachedTokens(0, 1000, 2000);
    expect(feedback.shared).toBeCloseTo(0, 3);
  });

  test("is 1 where answers never tell of cached tokens, and is learned once one does", () => {
    for (let answer = 0; answer < 7; answer += 1) feedback.answered(false);
    expect(feedback.shared).toBe(0.5);
    feedback.answered(false);
    expect(feedback.shared).toBe(1);
    feedback.answered(true);
    expect(feedback.shared).toBe(0.5);
  });

  test("is 1 where whole answers tell of cached tokens and most answers, which are streams, do not", () => {
    feedback.answered(true);
    for (let answer = 0; answer < 9; answer += 1) feedback.answered(false);
    expect(feedback.shared).toBe(1);
    feedback.cachedTokens(0, 0, 10_000);
    expect(feedback.shared).toBeCloseTo(0.5, 9);
  });
});

describe("how far a prefix reaches beyond the blocks that are known", () => {
  test("is half a block at first, and moves by a twentieth towards what each answer found", () => {
    expect(feedback.beyond).toBe(0.5);
    feedback.cachedBytes(5000, 4096, 1024);
    expect(feedback.beyond).toBeCloseTo(0.5 + 0.05 * (904 / 1024 - 0.5), 9);
  });

  test("may be more than a block, as answers are cached too, and at most two", () => {
    for (let answer = 0; answer < 200; answer += 1) feedback.cachedBytes(5600, 4096, 1024);
    expect(feedback.beyond).toBeCloseTo(1.47, 2);
    for (let answer = 0; answer < 200; answer += 1) feedback.cachedBytes(1e9, 4096, 1024);
    expect(feedback.beyond).toBeCloseTo(2, 2);
  });

  test("is not learned from a worker that has evicted the prefix, nor where nothing is compared any more", () => {
    feedback.cachedBytes(0, 4096, 1024);
    feedback.cachedBytes(2_000_000, 1_048_576, 0);
    expect(feedback.beyond).toBe(0.5);
  });
});

test("all threads learn the same", () => {
  const other = new UsageFeedback(cells);
  feedback.promptTokens(1000, 500);
  other.promptTokens(1000, 500);
  other.answered(true);
  other.cachedTokens(2000, 1000, 2000);
  expect([feedback.tokensPerByte, feedback.shared]).toEqual([other.tokensPerByte, other.shared]);
});
