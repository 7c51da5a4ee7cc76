import { describe, expect, test } from "bun:test";
import { GatewayError } from "../../errors/errors.ts";
import { parseTrace, traceLoad } from "./trace.ts";

const line = (timestamp: number, input: number, output: number, ...ids: number[]): string =>
  JSON.stringify({ timestamp, input_length: input, output_length: output, hash_ids: ids });

/** A made-up trace in Mooncake's format: two conversations, times in buckets of 3 s. */
const TRACE = [
  line(0, 600, 10, 0, 1),
  line(0, 512, 5, 0),
  line(3000, 1100, 20, 0, 1, 2),
  line(3000, 700, 0, 7, 8),
  line(6000, 1100, 20, 7, 8, 9),
  "",
].join("\n");

describe("a trace in Mooncake's format", () => {
  test("becomes one request a line, with the same text where ids are the same", () => {
    const load = traceLoad("tiny", parseTrace(TRACE), 300_000, { seed: 1, durationSecs: 60 });
    expect(load.sessions.map(({ turns }) => turns[0]?.prompt.tokens ?? 0).toSorted((a, b) => a - b)).toEqual([
      512, 600, 700, 1100, 1100,
    ]);
    const third = load.sessions.find(
      ({ startAtMs, turns }) => startAtMs >= 3000 && turns[0]?.prompt.segments[0]?.id === 0,
    );
    expect(third?.turns[0]?.prompt.segments).toEqual([
      { id: 0, tokens: 512 },
      { id: 1, tokens: 512 },
      { id: 2, tokens: 76 },
    ]);
    expect(load.sessions.every(({ turns }) => (turns[0]?.outputTokens ?? 0) >= 1)).toBe(true);
  });

  test("spreads requests of the same time until the next one, in order, and runs faster with a rate", () => {
    const rows = parseTrace(TRACE);
    const times = (rate: number) =>
      traceLoad("tiny", rows, 300_000, { seed: 1, durationSecs: 60, rate }).sessions.map(({ startAtMs }) => startAtMs);
    const [first = 0, second = 0, third = 0, fourth = 0, last] = times(1);
    expect(first).not.toBe(0);
    expect([0 < first, first < second, second < 3000, 3000 < third, third < fourth, fourth < 6000]).toEqual(
      Array.from({ length: 6 }, () => true),
    );
    expect(last).toBe(6000);
    expect(times(2)).toEqual(times(1).map((at) => at / 2));
  });

  test("is cut where the duration ends", () => {
    expect(traceLoad("tiny", parseTrace(TRACE), 300_000, { seed: 1, durationSecs: 3 }).sessions).toHaveLength(2);
  });

  test.each([
    ["", "the trace has no requests"],
    ["{", "line 1 of the trace: it is not JSON"],
    ["[1]", "line 1 of the trace: it is not an object"],
    [line(0, 0, 1), "line 1 of the trace: input_length must be a number from 1"],
    [`${line(0, 5, 1, 0)}\n${line(-1, 5, 1, 0)}`, "line 2 of the trace: timestamp must be a number from 0"],
    [line(0, 600, 1, 0), "line 1 of the trace: hash_ids must have an id for each 512 tokens of input_length"],
    [line(0, 5, 1, 0.5), "line 1 of the trace: hash_ids must be whole numbers"],
  ])("that is wrong is refused with its line: %#", (text, message) => {
    expect(() => parseTrace(text)).toThrow(new GatewayError("invalid_request", message));
  });
});
