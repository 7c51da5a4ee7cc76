import { expect, test } from "bun:test";
import { bodyOf } from "../../../test/support/answers.ts";
import { endpointAt } from "../../../test/support/endpoints.ts";
import { prefillTokens } from "./prefill-answer.ts";

const CHAT = { endpoint: endpointAt("/v1/chat/completions"), body: bodyOf({}) };
const GENERATE = { endpoint: endpointAt("/generate"), body: bodyOf({ text: ["a", "b"] }) };
const USAGE = { prompt_tokens: 900, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 640 } };
const META = { prompt_tokens: 30, completion_tokens: 1, cached_tokens: 10 };

const of = (text: string, request = CHAT): unknown => prefillTokens(Buffer.from(text), request);

test("a prefill worker's counts are read in a whole answer, in a list and in a stream", () => {
  const expected = { promptTokens: 900, completionTokens: 1, cachedTokens: 640 };
  expect(of(JSON.stringify({ choices: [], usage: USAGE }))).toEqual(expected);
  expect(
    of(`data: {"choices":[]}\r\n\r\ndata: ${JSON.stringify({ choices: [], usage: USAGE })}\r\n\r\ndata: [DONE]\n\n`),
  ).toEqual(expected);
  expect(of(JSON.stringify([{ meta_info: META }, { meta_info: META }]), GENERATE)).toEqual({
    promptTokens: 60,
    completionTokens: 2,
    cachedTokens: 20,
  });
});

test("an answer that tells none, is cut, or is too long to be read tells nothing", () => {
  expect([of('{"choices":[]}'), of('{"usage":{"prompt_'), of("data: {oops\n\n"), of("")]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(of(JSON.stringify({ logprobs: "x".repeat(70_000), usage: USAGE }))).toBeUndefined();
  expect(prefillTokens(undefined, CHAT)).toBeUndefined();
});
