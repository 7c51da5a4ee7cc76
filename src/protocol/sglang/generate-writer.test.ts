import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  bodyOf,
  count,
  cut,
  cutting,
  dataOf,
  follow,
  logprob,
  said,
  sayings,
  STOP,
  streamOf,
  wholeOf,
} from "../../../test/support/answers.ts";
import type { ApiRequest } from "../generation.ts";
import { sglangDialect } from "./dialect.ts";
import { readGenerate } from "./generate-request.ts";

interface Generated {
  readonly index?: number;
  readonly text: string;
  readonly output_ids: number[];
  readonly meta_info: Record<string, unknown>;
}

function generate(more: object = {}): ApiRequest {
  return readGenerate(bodyOf({ text: "hi", ...more }));
}

const parts = [
  said("ab", { ids: [1, 2], counts: count(2, { cachedTokens: 4 }) }),
  said("c", { ids: [3], counts: count(3, { cachedTokens: 4 }), finish: { reason: "stop", matched: 151_645 } }),
];
const meta = { id: "r1", prompt_tokens: 7, cached_tokens: 4 };

test("events of a stream repeat the text and the ids so far", () => {
  const stream = streamOf(generate({ stream: true }), parts);
  expect(dataOf<Generated>(stream)).toEqual([
    { text: "ab", output_ids: [1, 2], meta_info: { ...meta, finish_reason: null, completion_tokens: 2 } },
    {
      text: "abc",
      output_ids: [1, 2, 3],
      meta_info: { ...meta, finish_reason: { type: "stop", matched: 151_645 }, completion_tokens: 3 },
    },
  ]);
  expect(follow(sglangDialect, stream)).toEqual({
    kinds: ["data", "data", "end"],
    usage: { promptTokens: 7, completionTokens: 3, cachedTokens: 4 },
  });
});

test("a whole answer is the last event of a stream", () => {
  expect(wholeOf(generate(), parts)).toEqual(
    dataOf<Generated>(streamOf(generate({ stream: true }), parts)).at(-1) as never,
  );
});

test("an answer that ran to its limit says how long it is", () => {
  const [answer] = dataOf<Generated>(
    streamOf(generate({ stream: true }), [said("x", { finish: { reason: "length", matched: undefined } })]),
  );
  expect(answer?.meta_info["finish_reason"]).toEqual({ type: "length", length: 1 });
});

test("a batch is a list, and its events say which they belong to", () => {
  const both = [said("b", { index: 1, finish: STOP }), said("a", { finish: STOP })];
  const list = wholeOf(generate({ text: ["x", "y"] }), both) as Generated[];
  expect(list.map(({ text, meta_info: info }) => [text, info["id"]])).toEqual([
    ["a", "r1_0"],
    ["b", "r1_1"],
  ]);
  expect(
    dataOf<Generated>(streamOf(generate({ text: ["x", "y"], stream: true }), both)).map(({ index }) => index),
  ).toEqual([1, 0]);
});

test("a batch of one is a list too, and several answers to one prompt are", () => {
  const one = [said("a", { finish: STOP })];
  expect(wholeOf(generate({ text: ["x"] }), one)).toBeArrayOfSize(1);
  expect(wholeOf(generate({ sampling_params: { n: 2 } }), one)).toBeArrayOfSize(1);
  expect(wholeOf(generate({ text: undefined, input_ids: [[1, 2]] }), one)).toBeArrayOfSize(1);
  expect(wholeOf(generate({ text: undefined, input_ids: [1, 2] }), one)).not.toBeArray();
});

test("the client's own ids are kept", () => {
  const id = (more: object): unknown => (wholeOf(generate(more), [said("a")]) as Generated[])[0]?.meta_info["id"];
  expect((wholeOf(generate({ rid: "mine" }), [said("a")]) as Generated).meta_info["id"]).toBe("mine");
  expect(id({ text: ["x", "y"], rid: ["p", "q"] })).toBe("p");
  expect(id({ rid: "mine", sampling_params: { n: 2 } })).toBe("mine_0");
});

test("log-probabilities are triples that grow with the answer", () => {
  const request = { return_logprob: true, logprob_start_len: 0, top_logprobs_num: 1 };
  const steps = [
    said("a", {
      promptLogprobs: [logprob("p", 9, undefined), logprob("q", 8, -4)],
      logprobs: [logprob("a", 1, -0.5, [["b", -1]])],
    }),
    said("c", { logprobs: [logprob("c", 3, -0.25)], finish: STOP }),
  ];
  const expected = {
    input_token_logprobs: [
      [null, 9, null],
      [-4, 8, null],
    ],
    output_token_logprobs: [
      [-0.5, 1, null],
      [-0.25, 3, null],
    ],
    input_top_logprobs: [null, []],
    output_top_logprobs: [[[-1, 101, null]], []],
  };
  expect(wholeOf(generate(request), steps)).toMatchObject({ meta_info: expected });
  const events = dataOf<Generated>(streamOf(generate({ ...request, stream: true }), steps));
  expect(events[0]?.meta_info["output_token_logprobs"]).toEqual([[-0.5, 1, null]]);
  expect(events[1]?.meta_info).toMatchObject(expected);
  const texts = wholeOf(generate({ ...request, return_text_in_logprobs: true }), steps) as Generated;
  expect(texts.meta_info["output_token_logprobs"]).toEqual([
    [-0.5, 1, "a"],
    [-0.25, 3, "c"],
  ]);
});

test("however an answer is cut, the last event has all of its text", () => {
  fc.assert(
    fc.property(sayings, cutting, (blocks, cuts) => {
      const content = blocks.filter(({ kind }) => kind === "content");
      const events = dataOf<Generated>(streamOf(generate({ stream: true }), cut(content, cuts)));
      expect(events.at(-1)?.text).toBe(content.map(({ text }) => text).join(""));
      expect(events.every(({ text }, at) => text.startsWith(events[at - 1]?.text.slice(0, -1) ?? ""))).toBe(true);
    }),
  );
});
