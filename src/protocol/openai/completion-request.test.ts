import { expect, test } from "bun:test";
import { bodyOf, refusal } from "../../../test/support/answers.ts";
import type { GenerationRequest } from "../generation.ts";
import { readCompletion } from "./completion-request.ts";

function read(more: object = {}): GenerationRequest {
  return readCompletion(bodyOf({ model: "m", prompt: "hi", ...more })).generation;
}

test("a prompt is a text, token ids, or a list of either", () => {
  const text = (value: string): object => ({ kind: "text", text: value, addSpecialTokens: true });
  expect(read().prompts).toEqual([text("hi")] as never);
  expect(read({ prompt: ["a", "b"] }).prompts).toEqual([text("a"), text("b")] as never);
  expect(read({ prompt: [1, 2] }).prompts).toEqual([{ kind: "ids", ids: [1, 2] }]);
  expect(read({ prompt: [[1], [2]] }).prompts).toHaveLength(2);
  expect(read({ add_special_tokens: false }).prompts).toMatchObject([{ addSpecialTokens: false }]);
});

test("without a limit the API's own holds", () => {
  expect([read().maxTokens, read({ max_tokens: 5 }).maxTokens]).toEqual([16, 5]);
});

test("log-probabilities of the prompt come with echo, or when they are asked for", () => {
  expect(read({ logprobs: 2 })).toMatchObject({ logprobs: { top: 2 }, promptLogprobs: undefined as never });
  expect(read({ logprobs: 2, echo: true }).promptLogprobs).toEqual({ top: 2, from: 0 });
  expect(read({ prompt_logprobs: 1 }).promptLogprobs).toEqual({ top: 1, from: 0 });
});

test("what is wrong is named by its path", () => {
  const cases: [more: object, refused: string][] = [
    [{ prompt: undefined }, "invalid_request prompt"],
    [{ prompt: [] }, "invalid_request prompt"],
    [{ prompt: ["a", 1] }, "invalid_request prompt[1]"],
    [{ prompt: [[]] }, "invalid_request prompt[0]"],
    [{ prompt: [-1] }, "invalid_request prompt[0]"],
    [{ max_tokens: 0 }, "invalid_request max_tokens"],
    [{ logprobs: true }, "invalid_request logprobs"],
    [{ stream_options: {} }, "invalid_request stream_options"],
    [{ suffix: "x" }, "not_implemented suffix"],
    [{ best_of: 3, n: 2 }, "not_implemented best_of"],
    [{ best_of: 2, n: 2 }, "ok"],
    [{ max_tokens: 0, echo: true }, "ok"],
  ];
  for (const [more, refused] of cases) expect(refusal(readCompletion, { prompt: "hi", ...more })).toBe(refused);
});
