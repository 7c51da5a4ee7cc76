import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ChatCompletion, ChatCompletionChunk } from "openai/resources";
import { ChatCompletionStream } from "openai/lib/ChatCompletionStream";
import {
  count,
  cut,
  cutting,
  dataOf,
  eventsOf,
  follow,
  HEAD,
  lines,
  logprob,
  part,
  said,
  sayings,
  STOP,
  streamOf,
  wholeOf,
  bodyOf,
} from "../../../test/support/answers.ts";
import type { AnswerPart, ApiRequest } from "../generation.ts";
import { readChat } from "./chat-request.ts";
import { openaiDialect } from "./dialect.ts";

function chat(more: object = {}): ApiRequest {
  return readChat(bodyOf({ model: "m", messages: [{ role: "user", content: "hi" }], ...more }));
}

const streamed = chat({ stream: true });

type Reasoning = { readonly reasoning_content?: string };
type ChunkChoice = ChatCompletionChunk.Choice & { delta: Reasoning };
type WholeChoice = ChatCompletion.Choice & { message: Reasoning };
type Whole = Omit<ChatCompletion, "choices"> & { choices: WholeChoice[]; prompt_logprobs?: unknown };

function choices(stream: string): ChunkChoice[] {
  return dataOf<{ choices: ChunkChoice[] }>(stream).flatMap(({ choices }) => choices);
}

function whole(request: object, parts: readonly AnswerPart[]): Whole {
  return wholeOf(chat(request), parts) as Whole;
}

describe("a stream", () => {
  const stream = streamOf(streamed, [said("he"), said("llo"), part([], { finish: STOP, counts: count(2) })]);

  test("is data lines without names, of one id, and ends with one [DONE]", () => {
    const events = eventsOf(stream);
    expect(events.every(({ name }) => name === undefined)).toBe(true);
    expect(events.filter(({ data }) => data === "[DONE]")).toHaveLength(1);
    expect(events.at(-1)?.data).toBe("[DONE]");
    for (const chunk of dataOf<ChatCompletionChunk>(stream)) {
      expect(chunk).toMatchObject({
        id: "chatcmpl-r1",
        object: "chat.completion.chunk",
        created: 1_700_000_000,
        model: "m",
      });
      expect(chunk).not.toContainKey("usage");
    }
  });

  test("begins with the role, and says why it ends in its last chunk only", () => {
    expect(choices(stream)).toEqual([
      { index: 0, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null },
      { index: 0, delta: { content: "he" }, logprobs: null, finish_reason: null },
      { index: 0, delta: { content: "llo" }, logprobs: null, finish_reason: null },
      { index: 0, delta: {}, logprobs: null, finish_reason: "stop" },
    ]);
  });

  test("is finished for who reads it", () => {
    expect(follow(openaiDialect, stream).kinds).toEqual(["data", "data", "data", "data", "end"]);
  });

  test("without text ends all the same", () => {
    expect(
      choices(streamOf(streamed, [part([], { finish: { reason: "length", matched: undefined } })])).at(-1),
    ).toEqual({
      index: 0,
      delta: {},
      logprobs: null,
      finish_reason: "length",
    });
  });

  test("of a request that the engine gave up never looks finished", () => {
    const writer = streamed.createWriter(HEAD);
    const abort = part([], { finish: { reason: "abort", matched: undefined } });
    expect(() => writer.part(abort)).toThrow("gave up");
  });
});

describe("usage", () => {
  const parts = [
    said("a", { index: 1, counts: count(1, { cachedTokens: 4, reasoningTokens: 1 }) }),
    said("d", { index: 1, counts: count(2, { cachedTokens: 4, reasoningTokens: 1 }) }),
    said("b", { index: 0, finish: STOP, counts: count(2, { cachedTokens: 3, reasoningTokens: 0 }) }),
    said("c", { index: 1, finish: STOP, counts: count(5, { cachedTokens: 4, reasoningTokens: 2 }) }),
  ];
  const usage = {
    prompt_tokens: 7,
    completion_tokens: 7,
    total_tokens: 14,
    prompt_tokens_details: { cached_tokens: 3 },
    completion_tokens_details: { reasoning_tokens: 2 },
  };

  test("asked for is one chunk without choices before the end, and null in all others", () => {
    const chunks = dataOf<ChatCompletionChunk>(
      streamOf(chat({ n: 2, stream: true, stream_options: { include_usage: true } }), parts),
    );
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage });
    expect(chunks.slice(0, -1).map((chunk) => chunk.usage)).toEqual(chunks.slice(0, -1).map(() => null));
  });

  test("counts the prompt once and every answer", () => {
    expect(whole({ n: 2 }, parts).usage).toEqual(usage);
  });

  test("so far is in each event where that is asked for", () => {
    const options = { include_usage: true, continuous_usage_stats: true };
    const chunks = dataOf<ChatCompletionChunk>(
      streamOf(chat({ stream: true, stream_options: options }), [said("a"), said("b", { counts: count(2) })]),
    );
    expect(chunks.map(({ usage }) => usage?.completion_tokens)).toEqual([1, 1, 2, 2]);
  });
});

test("answers to one prompt interleave, each with its own role and end", () => {
  const parts = [
    said("a", { index: 1 }),
    said("b"),
    said("c", { index: 1, finish: STOP }),
    said("d", { finish: STOP }),
  ];
  const got = choices(streamOf(chat({ n: 2, stream: true }), parts));
  const of = (index: number): ChunkChoice[] => got.filter((choice) => choice.index === index);
  expect(of(0).map(({ delta }) => delta.content)).toEqual(["", "b", "d", undefined]);
  expect(of(1).map(({ delta }) => delta.content)).toEqual(["", "a", "c", undefined]);
  expect(of(1).map(({ finish_reason: reason }) => reason)).toEqual([null, null, null, "stop"]);
  const answer = whole({ n: 2 }, parts);
  expect(answer.choices.map((choice) => choice.message.content)).toEqual(["bd", "ac"]);
});

describe("tool calls", () => {
  const parts: AnswerPart[] = [
    part([{ kind: "tool_call", index: 0, id: "call_a", name: "add" }]),
    part([
      { kind: "tool_arguments", index: 0, text: '{"x"' },
      { kind: "tool_arguments", index: 0, text: ":1}" },
    ]),
    part([
      { kind: "tool_call", index: 1, id: "call_b", name: "sub" },
      { kind: "tool_arguments", index: 1, text: "{}" },
    ]),
    part([], { finish: STOP }),
  ];

  test("begin with id, type and name; then only arguments", () => {
    const calls = choices(streamOf(streamed, parts)).flatMap(({ delta }) => delta.tool_calls ?? []);
    expect(calls).toEqual([
      { index: 0, id: "call_a", type: "function", function: { name: "add", arguments: "" } },
      { index: 0, function: { arguments: '{"x"' } },
      { index: 0, function: { arguments: ":1}" } },
      { index: 1, id: "call_b", type: "function", function: { name: "sub", arguments: "" } },
      { index: 1, function: { arguments: "{}" } },
    ]);
  });

  test("are why the answer ends, unless it was cut", () => {
    expect(choices(streamOf(streamed, parts)).at(-1)?.finish_reason).toBe("tool_calls");
    const cutOff = [...parts.slice(0, -1), part([], { finish: { reason: "length", matched: undefined } })];
    expect(choices(streamOf(streamed, cutOff)).at(-1)?.finish_reason).toBe("length");
  });

  test("stand alone in a whole answer without text", () => {
    expect(whole({}, parts).choices).toEqual([
      {
        index: 0,
        message: {
          role: "assistant",
          content: null,
          refusal: null,
          tool_calls: [
            { id: "call_a", type: "function", function: { name: "add", arguments: '{"x":1}' } },
            { id: "call_b", type: "function", function: { name: "sub", arguments: "{}" } },
          ],
        },
        logprobs: null,
        finish_reason: "tool_calls",
      },
    ]);
  });
});

test("a whole answer has all members that the API names", () => {
  expect(whole({}, [said("hi", { finish: STOP })])).toEqual({
    id: "chatcmpl-r1",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "m",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "hi", refusal: null },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: { prompt_tokens: 7, completion_tokens: 1, total_tokens: 8 },
  });
});

test("an id that the client gave is the answer's", () => {
  const parts = [said("x", { finish: STOP })];
  expect(wholeOf(chat({ rid: "mine" }), parts)).toMatchObject({ id: "mine" });
  expect(wholeOf(chat({ rid: ["mine"] }), parts)).toMatchObject({ id: "mine" });
  expect(wholeOf(chat({ rid: "" }), parts)).toMatchObject({ id: "chatcmpl-r1" });
  const events = dataOf<{ id: string }>(streamOf(chat({ rid: "mine", stream: true }), parts));
  expect(events.every(({ id }) => id === "mine")).toBe(true);
  expect(() => chat({ rid: "x".repeat(257) })).toThrow("rid must have at most 256 characters");
  expect(() => chat({ rid: 1 })).toThrow("rid must be a string");
});

test("what made the answer stop is told where it was asked for", () => {
  const finish = { reason: "stop", matched: "END" } as const;
  expect(choices(streamOf(streamed, [said("x", { finish })])).at(-1)).toMatchObject({ stop_reason: "END" });
  expect(whole({}, [said("x", { finish })]).choices[0]).toMatchObject({ stop_reason: "END" });
});

test("log-probabilities are neither rounded nor lost, also of tokens whose text is held back", () => {
  const request = { logprobs: true, top_logprobs: 1 };
  const parts = [
    part([], { logprobs: [logprob("é", 5, -0.123456789012345, [["e", -3.5]])] }),
    said("éx", { logprobs: [logprob("x", 6, -Infinity)] }),
    part([], { finish: STOP, logprobs: [logprob("</s>", 2, -1)] }),
  ];
  const expected = [
    {
      token: "é",
      logprob: -0.123456789012345,
      bytes: [195, 169],
      top_logprobs: [{ token: "e", logprob: -3.5, bytes: [101] }],
    },
    { token: "x", logprob: -9999, bytes: [120], top_logprobs: [] },
    { token: "</s>", logprob: -1, bytes: [60, 47, 115, 62], top_logprobs: [] },
  ];
  const got = choices(streamOf(chat({ ...request, stream: true }), parts));
  expect(got.flatMap(({ logprobs }) => logprobs?.content ?? [])).toEqual(expected);
  expect(whole(request, parts).choices[0]?.logprobs).toEqual({ content: expected, refusal: null });
});

test("prompt log-probabilities are by token, and the first token has none", () => {
  const promptLogprobs = [logprob("a", 1, undefined), logprob("b", 2, -2, [["c", -1]])];
  const answer = whole({ prompt_logprobs: 1 }, [said("x", { promptLogprobs, finish: STOP })]);
  expect(answer.prompt_logprobs).toEqual([
    null,
    {
      102: { logprob: -1, rank: 1, decoded_token: "c" },
      2: { logprob: -2, rank: null, decoded_token: "b" },
    },
  ]);
});

test("echo puts the beginning that the client wrote before the answer", () => {
  const messages = [
    { role: "user", content: "count" },
    { role: "assistant", content: "one, " },
  ];
  const asked = { messages, continue_final_message: true, echo: true };
  const parts = [said("two", { finish: STOP })];
  expect(whole(asked, parts).choices[0]?.message.content).toBe("one, two");
  const deltas = choices(streamOf(chat({ ...asked, stream: true }), parts)).map(({ delta }) => delta.content ?? "");
  expect(deltas.join("")).toBe("one, two");
});

test("however an answer is cut, OpenAI's SDK puts together what a whole answer says", async () => {
  await fc.assert(
    fc.asyncProperty(sayings, sayings, cutting, async (first, second, cuts) => {
      const [a, b] = [cut(first, cuts, 0), cut(second, cuts, 1)];
      const parts = Array.from({ length: Math.max(a.length, b.length) }, (_, at) => [a[at], b[at]])
        .flat()
        .filter((one) => one !== undefined);
      const stream = streamOf(chat({ n: 2, stream: true }), parts);
      expect(follow(openaiDialect, stream).kinds.at(-1)).toBe("end");
      const answer = whole({ n: 2 }, parts);
      const put = await ChatCompletionStream.fromReadableStream(lines(stream)).finalChatCompletion();
      for (const [index, choice] of answer.choices.entries()) {
        const other = put.choices[index];
        expect(other?.finish_reason).toBe(choice.finish_reason);
        expect(other?.message.content ?? "").toBe(choice.message.content ?? "");
        const calls = (message: ChatCompletion["choices"][number]["message"] | undefined): unknown[] =>
          (message?.tool_calls ?? []).map(
            (made) => made.type === "function" && [made.id, made.function.name, made.function.arguments],
          );
        expect(calls(other?.message)).toEqual(calls(choice.message));
        const reasoning = choices(stream)
          .filter((event) => event.index === index)
          .map(({ delta }) => delta.reasoning_content ?? "");
        expect(reasoning.join("")).toBe(choice.message.reasoning_content ?? "");
      }
    }),
    { numRuns: 60 },
  );
});
