import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { accumulateResponse } from "openai/lib/responses/ResponseAccumulator";
import type { Response, ResponseStreamEvent } from "openai/resources/responses/responses";
import {
  bodyOf,
  count,
  cut,
  cutting,
  dataOf,
  eventsOf,
  follow,
  logprob,
  part,
  said,
  sayings,
  STOP,
  streamOf,
  wholeOf,
} from "../../../test/support/answers.ts";
import type { AnswerPart, ApiRequest } from "../generation.ts";
import { responsesDialect } from "./dialect.ts";
import { readResponses } from "./responses-request.ts";

function responses(more: object = {}): ApiRequest {
  return readResponses(bodyOf({ model: "m", input: "hi", ...more }));
}

function whole(parts: readonly AnswerPart[], more: object = {}): Response {
  return wholeOf(responses(more), parts) as Response;
}

const streamed = responses({ stream: true });
const PARTS = [
  part([{ kind: "reasoning", text: "hm" }]),
  said("so"),
  part([{ kind: "tool_call", index: 0, id: "call_a", name: "add" }]),
  part([{ kind: "tool_arguments", index: 0, text: '{"x":1}' }]),
  part([], { finish: STOP, counts: count(5, { cachedTokens: 2, reasoningTokens: 1 }) }),
];
const LENGTH = { reason: "length", matched: undefined } as const;

describe("a stream", () => {
  const stream = streamOf(streamed, PARTS);
  const events = dataOf<ResponseStreamEvent>(stream);

  test("opens, tells each item from its beginning to its end, and has one last event", () => {
    expect(events.map(({ type }) => type)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.reasoning_text.delta",
      "response.reasoning_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
      "response.completed",
    ]);
  });

  test("numbers its events from 0 without a gap", () => {
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, at) => at));
  });

  test("has named events, and [DONE] once after the last", () => {
    for (const { name, data } of eventsOf(stream).slice(0, -1))
      expect(JSON.parse(data)).toMatchObject({ type: name as never });
    expect(stream.split("[DONE]")).toHaveLength(2);
    expect(stream).toEndWith("data: [DONE]\n\n");
    expect(follow(responsesDialect, stream).kinds.slice(-2)).toEqual(["end", "nothing"]);
    expect(follow(responsesDialect, stream).usage).toEqual({ promptTokens: 7, completionTokens: 5, cachedTokens: 2 });
  });

  test("names the same item by the same id and place", () => {
    const ids = events.map((event) =>
      "item_id" in event ? event.item_id : "item" in event ? event.item.id : undefined,
    );
    expect([...new Set(ids.filter((id) => id !== undefined))]).toEqual(["rs_r1_0", "msg_r1_1", "fc_r1_2"]);
    for (const event of events) {
      if ("item_id" in event && "output_index" in event) expect(event.item_id).toEndWith(`_${event.output_index}`);
    }
  });

  test("ends with the response that a whole answer is", () => {
    const last = events.at(-1);
    expect(last && "response" in last && last.response).toEqual(whole(PARTS));
  });
});

test("a whole answer has all members, and says that it is not stored", () => {
  expect(whole([said("hi", { finish: STOP })], { temperature: 0.5, store: true, metadata: { a: "b" } })).toEqual({
    id: "resp_r1",
    object: "response",
    created_at: 1_700_000_000,
    completed_at: 1_700_000_005,
    status: "completed",
    error: null,
    incomplete_details: null,
    model: "m",
    output: [
      {
        id: "msg_r1_0",
        type: "message",
        status: "completed",
        role: "assistant",
        content: [{ type: "output_text", text: "hi", annotations: [], logprobs: [] }],
      },
    ],
    usage: {
      input_tokens: 7,
      input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
      output_tokens: 1,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 8,
    },
    background: false,
    frequency_penalty: 0,
    instructions: null,
    max_output_tokens: null,
    max_tool_calls: null,
    metadata: { a: "b" },
    parallel_tool_calls: true,
    presence_penalty: 0,
    previous_response_id: null,
    prompt_cache_key: null,
    reasoning: { effort: null, summary: null },
    safety_identifier: null,
    service_tier: "default",
    store: false,
    temperature: 0.5,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_logprobs: 0,
    top_p: 1,
    truncation: "disabled",
    user: null,
  } as never);
});

test("members of the request are told as it has them, and a response is completed when it is", () => {
  const tool = { type: "function", name: "f", parameters: { type: "object" } };
  const asked = {
    frequency_penalty: 0.5,
    presence_penalty: -0.5,
    prompt_cache_key: "k",
    safety_identifier: "s",
    tools: [tool, { ...tool, name: "g", description: "d", strict: true }],
  };
  const parts = [said("hi", { finish: STOP })];
  expect(whole(parts, asked)).toMatchObject({
    ...asked,
    tools: [
      { ...tool, description: null, strict: null },
      { ...tool, name: "g", description: "d", strict: true },
    ],
  });
  const told = dataOf<{ response?: { completed_at: number | null } }>(streamOf(responses({ stream: true }), parts));
  expect(told.flatMap(({ response }) => (response ? [response.completed_at] : []))).toEqual([
    null,
    null,
    1_700_000_005,
  ]);
  const cut = [said("hi"), part([], { finish: LENGTH })];
  expect(whole(cut)).toMatchObject({ completed_at: null });
});

test("an answer that ran to its limit is incomplete, not an error", () => {
  const parts = [said("hi"), part([], { finish: LENGTH })];
  expect(whole(parts)).toMatchObject({
    status: "incomplete",
    error: null,
    incomplete_details: { reason: "max_output_tokens" },
    output: [{ status: "incomplete" }],
  });
  const stream = streamOf(streamed, parts);
  expect(eventsOf(stream).at(-2)?.name).toBe("response.incomplete");
  expect(follow(responsesDialect, stream).kinds).toContain("end");
});

test("log-probabilities go with the text, and not with reasoning", () => {
  const more = { include: ["message.output_text.logprobs"] };
  const parts = [
    part([{ kind: "reasoning", text: "r" }], { logprobs: [logprob("r", 1, -9)] }),
    part([], { logprobs: [logprob("a", 2, -0.5)] }),
    said("ab", { logprobs: [logprob("b", 3, -0.25)] }),
    part([], { finish: STOP }),
  ];
  const entry = (token: string, value: number): object => ({
    token,
    logprob: value,
    bytes: [...Buffer.from(token)],
    top_logprobs: [],
  });
  expect(whole(parts, more).output[1]).toMatchObject({
    content: [{ logprobs: [entry("a", -0.5), entry("b", -0.25)] }],
  });
});

test("however an answer is cut, OpenAI's SDK puts together what a whole answer says", () => {
  fc.assert(
    fc.property(sayings, cutting, (blocks, cuts) => {
      const parts = cut(blocks, cuts);
      const stream = streamOf(streamed, parts);
      let snapshot: Response | undefined;
      for (const event of dataOf<ResponseStreamEvent>(stream).slice(0, -1))
        snapshot = accumulateResponse(event, snapshot);
      expect(JSON.parse(JSON.stringify(snapshot?.output))).toEqual(whole(parts).output);
      expect(follow(responsesDialect, stream).kinds.slice(-2)).toEqual(["end", "nothing"]);
    }),
    { numRuns: 60 },
  );
});
