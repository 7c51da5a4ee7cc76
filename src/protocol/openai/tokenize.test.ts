import { expect, test } from "bun:test";
import { bodyOf, refusal } from "../../../test/support/answers.ts";
import {
  detokenizeAnswer,
  detokenizeIdsAnswer,
  readDetokenize,
  readDetokenizeIds,
  readTokenize,
  readTokenizeTexts,
  tokenizeAnswer,
  tokenizeTextsAnswer,
} from "./tokenize.ts";

test("vLLM's tokenize takes a text with special tokens or a conversation without", () => {
  expect(readTokenize(bodyOf({ prompt: "hi" }))).toEqual({
    prompt: { kind: "text", text: "hi", addSpecialTokens: true },
    addSpecialTokens: true,
    returnTokenStrs: false,
  });
  const messages = [{ role: "user", content: "hi" }];
  expect(readTokenize(bodyOf({ messages, add_generation_prompt: false, return_token_strs: true }))).toMatchObject({
    prompt: { kind: "chat", chat: { messages, addGenerationPrompt: false } },
    addSpecialTokens: false,
    returnTokenStrs: true,
  });
  expect(tokenizeAnswer([1, 2], 4096)).toBe('{"count":2,"max_model_len":4096,"tokens":[1,2],"token_strs":null}');
  expect(tokenizeAnswer([1], 4096, ["a"])).toEndWith('"token_strs":["a"]}');
});

test("vLLM's detokenize takes ids and gives a prompt", () => {
  expect(readDetokenize(bodyOf({ tokens: [1, 2] }))).toEqual([1, 2]);
  expect(detokenizeAnswer("hi")).toBe('{"prompt":"hi"}');
});

test("smg's tokenize answers one text as one, and a list as lists", () => {
  const one = readTokenizeTexts(bodyOf({ prompt: "h👍" }));
  expect(tokenizeTextsAnswer(one, [[1, 2]])).toBe('{"tokens":[1,2],"count":2,"char_count":2}');
  const list = readTokenizeTexts(bodyOf({ prompt: ["a", "bc"] }));
  expect(tokenizeTextsAnswer(list, [[1], [2, 3]])).toBe('{"tokens":[[1],[2,3]],"count":[1,2],"char_count":3}');
});

test("smg's detokenize answers one list as one, and lists as a list", () => {
  const one = readDetokenizeIds(bodyOf({ tokens: [1, 2] }));
  expect(one).toEqual({ ids: [[1, 2]], isBatch: false, skipSpecialTokens: true });
  expect(detokenizeIdsAnswer(one, ["a"])).toBe('{"text":"a"}');
  const list = readDetokenizeIds(bodyOf({ tokens: [[1], []], skip_special_tokens: false }));
  expect(list).toEqual({ ids: [[1], []], isBatch: true, skipSpecialTokens: false });
  expect(detokenizeIdsAnswer(list, ["a", ""])).toBe('{"text":["a",""]}');
});

test("what is wrong is named", () => {
  expect(refusal(readTokenize, {})).toBe("invalid_request prompt");
  expect(refusal(readTokenize, { messages: [] })).toBe("invalid_request messages");
  expect(refusal(readDetokenize, { tokens: "a" })).toBe("invalid_request tokens");
  expect(refusal(readDetokenize, {})).toBe("invalid_request tokens");
  expect(refusal(readTokenizeTexts, { prompt: [1] })).toBe("invalid_request prompt[0]");
  expect(refusal(readDetokenizeIds, { tokens: [[1], "a"] })).toBe("invalid_request tokens[1]");
});
