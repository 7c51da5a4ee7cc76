import { describe, expect, test } from "bun:test";
import { type AnswerBlock, AnswerCollector, callsOf, endReason, textOf, UsageTally } from "./answers.ts";
import type { AnswerPart, OutputPiece, TokenCount } from "./generation.ts";

const COUNTS: TokenCount = {
  promptTokens: 5,
  completionTokens: 1,
  cachedTokens: undefined,
  reasoningTokens: undefined,
};

function part(index: number, pieces: readonly OutputPiece[], more: Partial<AnswerPart> = {}): AnswerPart {
  return {
    index,
    pieces,
    ids: [],
    logprobs: undefined,
    promptLogprobs: undefined,
    counts: COUNTS,
    finish: undefined,
    ...more,
  };
}

function blocksOf(...pieces: OutputPiece[]): readonly AnswerBlock[] {
  const answers = new AnswerCollector();
  for (const piece of pieces) answers.add(part(0, [piece]));
  return answers.answers[0]?.blocks ?? [];
}

describe("pieces of an answer", () => {
  test("of one kind that follow each other are one block", () => {
    expect(
      blocksOf(
        { kind: "reasoning", text: "a" },
        { kind: "reasoning", text: "b" },
        { kind: "content", text: "c" },
        { kind: "content", text: "" },
        { kind: "content", text: "d" },
        { kind: "reasoning", text: "e" },
      ),
    ).toEqual([
      { kind: "reasoning", text: "ab" },
      { kind: "content", text: "cd" },
      { kind: "reasoning", text: "e" },
    ]);
  });

  test("without text make no block", () => {
    expect(blocksOf({ kind: "content", text: "" })).toEqual([]);
  });

  test("of calls go to the call with their index", () => {
    const blocks = blocksOf(
      { kind: "tool_call", index: 0, id: "x", name: "f" },
      { kind: "tool_call", index: 1, id: "y", name: "g" },
      { kind: "tool_arguments", index: 1, text: '{"a"' },
      { kind: "tool_arguments", index: 0, text: "{}" },
      { kind: "tool_arguments", index: 1, text: ":1}" },
      { kind: "tool_arguments", index: 7, text: "of no call" },
    );
    expect(callsOf(blocks).map(({ name, arguments: args }) => [name, args])).toEqual([
      ["f", "{}"],
      ["g", '{"a":1}'],
    ]);
  });

  test("of one kind are found in all blocks; where there are none the text is undefined", () => {
    const blocks = blocksOf(
      { kind: "content", text: "a" },
      { kind: "reasoning", text: "b" },
      { kind: "content", text: "c" },
    );
    expect([textOf(blocks, "content"), textOf(blocks, "reasoning"), textOf([], "content")]).toEqual([
      "ac",
      "b",
      undefined,
    ]);
  });
});

test("parts of several answers are joined by index, with the counts and the finish of their last part", () => {
  const answers = new AnswerCollector();
  answers.add(part(1, [{ kind: "content", text: "b" }], { ids: [7] }));
  answers.add(part(0, [{ kind: "content", text: "a" }]));
  const finish = { reason: "stop", matched: undefined } as const;
  answers.add(part(1, [], { ids: [8], finish, counts: { ...COUNTS, completionTokens: 2 } }));
  expect(answers.answers.map(({ index, ids, counts }) => [index, ids, counts.completionTokens])).toEqual([
    [0, [], 1],
    [1, [7, 8], 2],
  ]);
  expect(answers.answers[1]?.finish).toEqual(finish);
});

describe("tokens of all answers", () => {
  test("a prompt counts once, and each answer's tokens as they were counted last", () => {
    const usage = new UsageTally(2);
    for (const index of [0, 1, 2, 3]) {
      usage.add(part(index, []));
      usage.add(
        part(index, [], { counts: { promptTokens: 5, completionTokens: 3, cachedTokens: 4, reasoningTokens: 1 } }),
      );
    }
    expect(usage.total).toEqual({ promptTokens: 10, completionTokens: 12, cachedTokens: 8, reasoningTokens: 4 });
  });

  test("what no answer says stays undefined", () => {
    const usage = new UsageTally(1);
    usage.add(part(0, []));
    expect(usage.total).toEqual({
      promptTokens: 5,
      completionTokens: 1,
      cachedTokens: undefined,
      reasoningTokens: undefined,
    });
  });

  test("answers that have not begun count nothing", () => {
    const usage = new UsageTally(1);
    usage.add(part(3, []));
    expect(usage.total.completionTokens).toBe(1);
  });
});

describe("why an answer ended", () => {
  test("is tool_calls where it stopped with calls, and is what the engine said else", () => {
    expect(endReason({ reason: "stop", matched: undefined }, true)).toBe("tool_calls");
    expect(endReason({ reason: "stop", matched: undefined }, false)).toBe("stop");
    expect(endReason({ reason: "length", matched: undefined }, true)).toBe("length");
  });

  test("is an error where the engine gave the request up", () => {
    expect(() => endReason({ reason: "abort", matched: undefined }, false)).toThrow("gave up");
  });
});
