import { expect, test } from "bun:test";
import { mergeUsage, readUsage } from "./usage.ts";

const counts = (
  promptTokens: number | undefined,
  completionTokens: number | undefined,
  cachedTokens?: number,
): object => ({
  promptTokens,
  completionTokens,
  cachedTokens,
});

test("the usage of every dialect is read", () => {
  const openai = { usage: { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 4 } } };
  expect(readUsage(openai)).toEqual(counts(5, 2, 4) as never);
  expect(readUsage({ response: { usage: { input_tokens: 5, output_tokens: 2 } } })).toEqual(counts(5, 2) as never);
  expect(readUsage({ usage: { input_tokens: 5, output_tokens: 2, cache_read_input_tokens: 1 } })).toEqual(
    counts(5, 2, 1) as never,
  );
  expect(readUsage({ text: "x", meta_info: { prompt_tokens: 5, completion_tokens: 2, cached_tokens: 3 } })).toEqual(
    counts(5, 2, 3) as never,
  );
});

test("an answer without usage, or with nonsense in it, has none", () => {
  expect(readUsage({ usage: null })).toBeUndefined();
  expect(readUsage("x")).toBeUndefined();
  expect(readUsage({ usage: { prompt_tokens: "5" } })?.promptTokens).toBeUndefined();
});

test("Anthropic's two halves make one", () => {
  const start = readUsage({ type: "message_start", message: { usage: { input_tokens: 9 } } });
  const delta = readUsage({ type: "message_delta", usage: { output_tokens: 4 } });
  expect(mergeUsage(start, delta)).toEqual(counts(9, 4) as never);
});
