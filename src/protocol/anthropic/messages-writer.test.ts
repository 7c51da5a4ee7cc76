import { describe, expect, test } from "bun:test";
import { MessageStream } from "@anthropic-ai/sdk/lib/MessageStream";
import type { Message, RawMessageStreamEvent } from "@anthropic-ai/sdk/resources";
import fc from "fast-check";
import {
  bodyOf,
  count,
  cut,
  cutting,
  dataOf,
  eventsOf,
  follow,
  lines,
  part,
  said,
  sayings,
  STOP,
  streamOf,
  wholeOf,
} from "../../../test/support/answers.ts";
import type { AnswerPart, ApiRequest } from "../generation.ts";
import { anthropicDialect } from "./dialect.ts";
import { readMessages } from "./messages-request.ts";

function messages(more: object = {}): ApiRequest {
  return readMessages(bodyOf({ model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }], ...more }));
}

function whole(parts: readonly AnswerPart[], more: object = {}): Message {
  return wholeOf(messages(more), parts) as Message;
}

const streamed = messages({ stream: true });

const PARTS = [
  part([{ kind: "reasoning", text: "hm" }], { counts: count(1, { cachedTokens: 4, reasoningTokens: 2 }) }),
  part([
    { kind: "content", text: "so" },
    { kind: "tool_call", index: 0, id: "call_a", name: "add" },
  ]),
  part([{ kind: "tool_arguments", index: 0, text: '{"x":' }]),
  part([{ kind: "tool_arguments", index: 0, text: "1}" }], { finish: STOP, counts: count(8, { cachedTokens: 4 }) }),
];

describe("a stream", () => {
  const stream = streamOf(streamed, PARTS);

  test("has named events only, blocks one after the other, and no [DONE]", () => {
    const events = eventsOf(stream);
    for (const { name, data } of events) expect(JSON.parse(data)).toMatchObject({ type: name as never });
    expect(stream).not.toContain("[DONE]");
    expect(
      dataOf<RawMessageStreamEvent>(stream).map((event) =>
        "index" in event ? `${event.type} ${event.index}` : event.type,
      ),
    ).toEqual([
      "message_start",
      "content_block_start 0",
      "content_block_delta 0",
      "content_block_delta 0",
      "content_block_stop 0",
      "content_block_start 1",
      "content_block_delta 1",
      "content_block_stop 1",
      "content_block_start 2",
      "content_block_delta 2",
      "content_block_delta 2",
      "content_block_stop 2",
      "message_delta",
      "message_stop",
    ]);
  });

  test("begins with the tokens of the prompt and without a reason to stop", () => {
    expect(dataOf(stream)[0]).toEqual({
      type: "message_start",
      message: {
        id: "msg_r1",
        type: "message",
        role: "assistant",
        model: "m",
        content: [],
        stop_reason: null,
        stop_sequence: null,
        container: null,
        stop_details: null,
        usage: {
          input_tokens: 3,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 4,
          output_tokens: 0,
          output_tokens_details: { thinking_tokens: 2 },
          server_tool_use: null,
          cache_creation: null,
          inference_geo: null,
          service_tier: null,
          speed: null,
        },
      },
    });
  });

  test("tells thinking with a signature, and a call with the fragments of its input", () => {
    const events = dataOf<RawMessageStreamEvent>(stream);
    expect(events.flatMap((event) => (event.type === "content_block_start" ? [event.content_block] : []))).toEqual([
      { type: "thinking", thinking: "", signature: "" },
      { type: "text", text: "", citations: null },
      { type: "tool_use", id: "call_a", caller: { type: "direct" }, name: "add", input: {} },
    ] as never);
    expect(events.flatMap((event) => (event.type === "content_block_delta" ? [event.delta] : []))).toEqual([
      { type: "thinking_delta", thinking: "hm" },
      { type: "signature_delta", signature: "" },
      { type: "text_delta", text: "so" },
      { type: "input_json_delta", partial_json: '{"x":' },
      { type: "input_json_delta", partial_json: "1}" },
    ] as never);
  });

  test("ends with the reason and the tokens of the answer", () => {
    expect(dataOf(stream).at(-2)).toEqual({
      type: "message_delta",
      delta: { container: null, stop_details: null, stop_reason: "tool_use", stop_sequence: null },
      usage: {
        input_tokens: 3,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 4,
        output_tokens: 8,
        output_tokens_details: null,
        server_tool_use: null,
      },
    });
    expect(follow(anthropicDialect, stream).kinds.at(-1)).toBe("end");
  });
});

test("reasons to stop in this API's words", () => {
  const reason = (finish: AnswerPart["finish"]): unknown => {
    const { stop_reason: why, stop_sequence: sequence } = whole([said("x", { finish })], { stop_sequences: ["END"] });
    return [why, sequence];
  };
  expect(reason(STOP)).toEqual(["end_turn", null]);
  expect(reason({ reason: "stop", matched: 2 })).toEqual(["end_turn", null]);
  expect(reason({ reason: "stop", matched: "END" })).toEqual(["stop_sequence", "END"]);
  expect(reason({ reason: "length", matched: undefined })).toEqual(["max_tokens", null]);
  expect(reason({ reason: "content_filter", matched: undefined })).toEqual(["refusal", null]);
  expect(() => reason({ reason: "abort", matched: undefined })).toThrow("gave up");
});

test("a call that was cut has no input rather than a part of it", () => {
  const parts = [...PARTS.slice(0, 3), part([], { finish: { reason: "length", matched: undefined } })];
  const answer = whole(parts);
  expect(answer.content.at(-1)).toMatchObject({ type: "tool_use", input: {} });
  expect(answer.stop_reason).toBe("max_tokens");
});

test("however an answer is cut, Anthropic's SDK puts together what a whole answer says", async () => {
  await fc.assert(
    fc.asyncProperty(sayings, cutting, async (blocks, cuts) => {
      const parts = cut(blocks, cuts);
      const stream = streamOf(streamed, parts);
      expect(follow(anthropicDialect, stream).kinds.at(-1)).toBe("end");
      const put = await MessageStream.fromReadableStream(lines(stream)).finalMessage();
      const { content, stop_reason: reason, usage } = whole(parts);
      expect(JSON.parse(JSON.stringify(put.content))).toEqual(content);
      expect(put.stop_reason).toBe(reason);
      expect(put.usage).toMatchObject({ input_tokens: usage.input_tokens, output_tokens: usage.output_tokens });
    }),
    { numRuns: 60 },
  );
});
