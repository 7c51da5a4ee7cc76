import { expect, test } from "bun:test";
import fc from "fast-check";
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
  expect(readUsage({ text: "x", meta_info: { prompt_tokens: 5, completion_tokens: 2, cached_tokens: 3 } })).toEqual(
    counts(5, 2, 3) as never,
  );
});

test("a prompt of Anthropic's API is counted whole: what is read from the cache and written into it stands apart", () => {
  const usage = { input_tokens: 5, output_tokens: 2, cache_read_input_tokens: 90, cache_creation_input_tokens: 3 };
  expect(readUsage({ usage })).toEqual(counts(98, 2, 90) as never);
  // The API of Responses has the same name for the whole prompt.
  const whole = { input_tokens: 95, output_tokens: 2, input_tokens_details: { cached_tokens: 90 } };
  expect(readUsage({ response: { usage: whole } })).toEqual(counts(95, 2, 90) as never);
});

test("a count that cannot be one is untold, and the others are taken", () => {
  fc.assert(
    fc.property(fc.oneof(fc.constantFrom(-1, 0.5, 1e300, "7", null, true), fc.double({ max: -0.001 })), (wrong) => {
      const block = { prompt_tokens: 10, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 8 } };
      expect(readUsage({ usage: { ...block, prompt_tokens: wrong } })).toEqual(counts(undefined, 4, 8) as never);
      expect(readUsage({ usage: { ...block, completion_tokens: wrong } })).toEqual(counts(10, undefined, 8) as never);
      expect(readUsage({ usage: { ...block, prompt_tokens_details: { cached_tokens: wrong } } })).toEqual(
        counts(10, 4) as never,
      );
    }),
  );
});

test("no more tokens are cached than the prompt has", () => {
  const usage = (cached: number): object => ({ prompt_tokens: 10, prompt_tokens_details: { cached_tokens: cached } });
  expect(readUsage({ usage: usage(10) })?.cachedTokens).toBe(10);
  expect(readUsage({ usage: usage(11) })?.cachedTokens).toBeUndefined();
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
