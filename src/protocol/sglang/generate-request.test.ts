import { expect, test } from "bun:test";
import { bodyOf, refusal } from "../../../test/support/answers.ts";
import type { GenerationRequest } from "../generation.ts";
import { readGenerate } from "./generate-request.ts";

function read(body: object): GenerationRequest {
  return readGenerate(bodyOf(body)).generation;
}

test("text or ids, single or as a batch", () => {
  expect(read({ text: "a" }).prompts).toMatchObject([{ kind: "text", text: "a" }]);
  expect(read({ text: ["a", "b"] }).prompts).toHaveLength(2);
  expect(read({ input_ids: [1, 2] }).prompts).toEqual([{ kind: "ids", ids: [1, 2] }]);
  expect(read({ input_ids: [[1], [2]] }).prompts).toHaveLength(2);
});

test("sampling parameters have SGLang's names", () => {
  const params = {
    max_new_tokens: 5,
    min_new_tokens: 2,
    temperature: 3,
    top_k: -1,
    stop: ["a"],
    stop_token_ids: [7],
    no_stop_trim: true,
    n: 3,
    sampling_seed: 11,
    json_schema: '{"type":"object"}',
  };
  expect(read({ text: "a", sampling_params: params, priority: 1, lora_path: "l" })).toMatchObject({
    maxTokens: 5,
    minTokens: 2,
    sampling: { temperature: 3, topK: -1, seed: 11 },
    stop: ["a"],
    stopTokenIds: [7],
    includeStop: true,
    n: 3,
    constraint: { kind: "json_schema", schema: '{"type":"object"}' },
    priority: 1,
    loraId: "l",
  });
  expect(read({ text: "a" }).maxTokens).toBe(128);
});

test("log-probabilities of the prompt begin where the request says", () => {
  const asked = { text: "a", return_logprob: true, top_logprobs_num: 2 };
  expect(read(asked)).toMatchObject({ logprobs: { top: 2 }, promptLogprobs: undefined as never });
  expect(read({ ...asked, logprob_start_len: 4 }).promptLogprobs).toEqual({ top: 2, from: 4 });
  expect(read({ text: "a", top_logprobs_num: 2 }).logprobs).toBeUndefined();
  expect(read({ ...asked, text: ["a", "b"], return_logprob: [true, true] }).logprobs).toEqual({ top: 2 });
});

test("what is wrong is named by its path", () => {
  const cases: [body: object, refused: string][] = [
    [{}, "invalid_request text"],
    [{ text: "a", input_ids: [1] }, "invalid_request text"],
    [{ text: [1] }, "invalid_request text[0]"],
    [{ input_ids: ["a"] }, "invalid_request input_ids[0]"],
    [{ input_ids: "a" }, "invalid_request input_ids[0]"],
    [{ text: "a", sampling_params: { max_new_tokens: 0 } }, "invalid_request sampling_params.max_new_tokens"],
    [{ text: "a", sampling_params: { regex: "a", ebnf: "b" } }, "invalid_request sampling_params.ebnf"],
    [{ text: ["a", "b"], rid: ["x"] }, "invalid_request rid"],
    [{ text: ["a", "b"], sampling_params: [{}, {}] }, "not_implemented sampling_params"],
    [{ text: ["a", "b"], return_logprob: [true, false] }, "not_implemented return_logprob"],
    [{ text: "a", image_data: "x" }, "not_implemented image_data"],
    [{ text: "a", sampling_params: { stop_regex: "x" } }, "not_implemented sampling_params.stop_regex"],
  ];
  for (const [body, refused] of cases) expect(refusal(readGenerate, body)).toBe(refused);
});
