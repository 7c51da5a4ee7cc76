import { expect, test } from "bun:test";
import type { AnswerPart } from "../../protocol/generation.ts";
import { StreamCounts } from "./stream-counts.ts";

function part(index: number, promptTokens: number, completionTokens: number): AnswerPart {
  const counts = { promptTokens, completionTokens, cachedTokens: 2, reasoningTokens: undefined };
  return { index, pieces: [], ids: [], logprobs: undefined, promptLogprobs: undefined, counts, finish: undefined };
}

test("events are counted as they are sent, and the end marker is none", () => {
  const counts = new StreamCounts(1);
  expect(counts.sent('data: {"a":"x\\n\\ny"}\n\ndata: {}\n\n')).toEqual(
    Buffer.from('data: {"a":"x\\n\\ny"}\n\ndata: {}\n\n'),
  );
  expect([counts.events, counts.isEnded]).toEqual([2, false]);
  counts.ended('data: {"usage":{}}\n\ndata: [DONE]\n\n');
  expect([counts.events, counts.isEnded]).toEqual([3, true]);
});

test("tokens are those of the last parts, a prompt once for all its answers", () => {
  const counts = new StreamCounts(2);
  for (const one of [part(0, 10, 1), part(1, 10, 1), part(0, 10, 5)]) counts.add(one);
  expect(counts.usage).toMatchObject({ promptTokens: 10, completionTokens: 6, cachedTokens: 2 });
});
