import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Completion } from "openai/resources";
import {
  bodyOf,
  count,
  cut,
  cutting,
  dataOf,
  eventsOf,
  follow,
  HEAD,
  logprob,
  said,
  sayings,
  STOP,
  streamOf,
  wholeOf,
} from "../../../test/support/answers.ts";
import type { AnswerPart, ApiRequest } from "../generation.ts";
import { readCompletion } from "./completion-request.ts";
import { openaiDialect } from "./dialect.ts";

function completion(more: object = {}): ApiRequest {
  return readCompletion(bodyOf({ model: "m", prompt: "hi", ...more }));
}

function whole(request: object, parts: readonly AnswerPart[], head = HEAD): Completion {
  return wholeOf(completion(request), parts, head) as Completion;
}

test("a whole answer has all members that the API names", () => {
  expect(whole({}, [said("ab"), said("c", { finish: STOP, counts: count(2) })])).toEqual({
    id: "cmpl-r1",
    object: "text_completion",
    created: 1_700_000_000,
    model: "m",
    choices: [{ index: 0, text: "abc", logprobs: null, finish_reason: "stop" }],
    usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 },
  });
});

test("an id that the client gave is the answer's", () => {
  expect(whole({ rid: "mine" }, [said("a", { finish: STOP })]).id).toBe("mine");
});

test("a stream has one event for each text and one [DONE], and is finished for who reads it", () => {
  const stream = streamOf(completion({ stream: true, stream_options: { include_usage: true } }), [
    said("ab"),
    said(""),
    said("c", { finish: STOP, counts: count(2) }),
  ]);
  const [first, second, usage] = dataOf<Completion>(stream);
  expect(first?.choices).toEqual([{ index: 0, text: "ab", logprobs: null, finish_reason: null as never }]);
  expect(second?.choices).toEqual([{ index: 0, text: "c", logprobs: null, finish_reason: "stop" }]);
  expect([first?.usage, usage?.choices, usage?.usage?.total_tokens]).toEqual([null as never, [], 9]);
  expect(eventsOf(stream)).toHaveLength(4);
  expect(follow(openaiDialect, stream)).toEqual({
    kinds: ["data", "data", "data", "end"],
    usage: { promptTokens: 7, completionTokens: 2, cachedTokens: undefined },
  });
});

test("a batch has the answers to each prompt after one another, and counts each prompt once", () => {
  const parts = [3, 1, 0, 2].map((index) => said(`t${index}`, { index, finish: STOP, counts: count(1) }));
  const answer = whole({ prompt: ["a", "b"], n: 2 }, parts);
  expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([
    [0, "t0"],
    [1, "t1"],
    [2, "t2"],
    [3, "t3"],
  ]);
  expect(answer.usage).toMatchObject({ prompt_tokens: 14, completion_tokens: 4 });
});

describe("log-probabilities", () => {
  const parts = [
    said("Hé", { logprobs: [logprob("H", 1, -0.5, [["h", -1]]), logprob("é", 2, -0.25)] }),
    said("👍", { logprobs: [logprob("👍", 3, -2, [["👍", -2]])] }),
    said("!", { logprobs: [logprob("!", 4, -1)], finish: STOP }),
  ];
  const expected = {
    tokens: ["H", "é", "👍", "!"],
    token_logprobs: [-0.5, -0.25, -2, -1],
    top_logprobs: [{ h: -1, H: -0.5 }, { é: -0.25 }, { "👍": -2 }, { "!": -1 }],
    text_offset: [0, 1, 2, 3],
  };

  test("are in the shape of before, with offsets in characters", () => {
    expect(whole({ logprobs: 1 }, parts).choices[0]?.logprobs).toEqual(expected);
  });

  test("of a stream go on where the last event ended", () => {
    const events = dataOf<Completion>(streamOf(completion({ logprobs: 1, stream: true }), parts));
    const all = events.flatMap(({ choices }) => choices.map(({ logprobs }) => logprobs));
    expect(all.flatMap((one) => one?.text_offset ?? [])).toEqual(expected.text_offset);
    expect(all.flatMap((one) => one?.tokens ?? [])).toEqual(expected.tokens);
  });

  test("are not there where they were not asked for", () => {
    expect(whole({}, parts).choices[0]?.logprobs).toBeNull();
  });

  test("with echo begin with those of the prompt, whose first token has none", () => {
    const promptLogprobs = [logprob("hi", 9, undefined), logprob(" you", 8, -3)];
    const head = { ...HEAD, promptTexts: ["hi you"] };
    const echoed = whole(
      { echo: true, logprobs: 0 },
      [said("!", { promptLogprobs, logprobs: [logprob("!", 4, -1)], finish: STOP })],
      head,
    );
    expect(echoed.choices[0]).toMatchObject({
      text: "hi you!",
      logprobs: {
        tokens: ["hi", " you", "!"],
        token_logprobs: [null, -3, -1],
        top_logprobs: [null, { " you": -3 }, { "!": -1 }],
        text_offset: [0, 2, 6],
      },
    });
  });
});

test("echo gives each answer its own prompt, once", () => {
  const head = { ...HEAD, promptTexts: ["A", "B"] };
  const parts = [0, 1, 2, 3].flatMap((index) => [said("x", { index }), said("y", { index, finish: STOP })]);
  const asked = { prompt: ["A", "B"], n: 2, echo: true };
  expect(whole(asked, parts, head).choices.map(({ text }) => text)).toEqual(["Axy", "Axy", "Bxy", "Bxy"]);
  const events = dataOf<Completion>(streamOf(completion({ ...asked, stream: true }), parts, head));
  const last = events.flatMap(({ choices }) => choices).filter(({ index }) => index === 3);
  expect(last.map(({ text }) => text)).toEqual(["Bx", "y"]);
});

test("echo without tokens to generate tells the prompt only", () => {
  const request = completion({ echo: true, max_tokens: 0 });
  expect(request.generation.maxTokens).toBe(1);
  const answer = whole({ echo: true, max_tokens: 0 }, [said("x", { finish: STOP })], { ...HEAD, promptTexts: ["hi"] });
  expect(answer.choices[0]).toMatchObject({ text: "hi", finish_reason: "length" });
  expect(answer.usage?.completion_tokens).toBe(0);
});

test("however an answer is cut, the texts of a stream make that of a whole answer", () => {
  fc.assert(
    fc.property(sayings, cutting, (blocks, cuts) => {
      const parts = cut(
        blocks.filter(({ kind }) => kind === "content"),
        cuts,
      );
      const stream = streamOf(completion({ stream: true }), parts);
      const texts = dataOf<Completion>(stream).flatMap(({ choices }) => choices.map(({ text }) => text));
      expect(texts.join("")).toBe(whole({}, parts).choices[0]?.text ?? "-");
      expect(follow(openaiDialect, stream).kinds.at(-1)).toBe("end");
    }),
  );
});
