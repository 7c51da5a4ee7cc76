import { describe, expect, test } from "bun:test";
import { bodyOf } from "../../test/support/answers.ts";
import { anthropicDialect } from "./anthropic/dialect.ts";
import type { Dialect } from "./dialect.ts";
import { openaiDialect, responsesDialect } from "./openai/dialect.ts";
import { sglangDialect } from "./sglang/dialect.ts";
import type { StreamReader } from "./stream-reader.ts";

const FACTS = {
  code: "upstream_reset",
  message: "it broke",
  param: undefined,
  openaiType: "server_error",
  anthropicType: "api_error",
  requestId: "r",
};

function follow(dialect: Dialect, events: readonly (object | string)[]): { reader: StreamReader; kinds: string[] } {
  const reader = dialect.createStreamReader(NO_BODY);
  const kinds = events.map(
    (event) => reader.onEvent(undefined, typeof event === "string" ? event : JSON.stringify(event)).kind,
  );
  return { reader, kinds };
}

const NO_BODY = bodyOf({});

describe("chat", () => {
  test("is finished when every choice that began has said why it stopped", () => {
    const choice = (index: number, finish_reason: string | null): object => ({
      choices: [{ index, delta: {}, finish_reason }],
    });
    const { reader } = follow(openaiDialect, [choice(0, null), choice(1, null), choice(0, "stop")]);
    expect(reader.hasFinished(2)).toBe(false);
    expect(reader.onEvent(undefined, JSON.stringify(choice(1, "length"))).kind).toBe("data");
    expect([reader.hasFinished(1), reader.hasFinished(2), reader.hasFinished(3)]).toEqual([true, true, false]);
    expect(reader.onEvent(undefined, "[DONE]").kind).toBe("end");
  });

  test("usage is that of the last event that has one", () => {
    const { reader } = follow(openaiDialect, [{ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }]);
    expect(reader.usage).toMatchObject({ promptTokens: 3, completionTokens: 2 });
  });

  test("text that looks like an end or an error is text", () => {
    const content = 'data: [DONE] "error": {"finish_reason":"stop"}';
    const { reader, kinds } = follow(openaiDialect, [{ choices: [{ index: 0, delta: { content } }] }]);
    expect([kinds, reader.hasFinished(1)]).toEqual([["data"], false]);
  });

  test("what is not an object is refused", () => {
    for (const data of ["{not json", "[]", "1", '{"a":1'])
      expect(() => openaiDialect.createStreamReader(NO_BODY).onEvent(undefined, data)).toThrow(SyntaxError);
  });
});

const NO_WORDS = { param: undefined, code: undefined };

test("errors that engines tell within a stream, in all their shapes", () => {
  const failures = [
    { error: { message: "out of memory", code: 500 } },
    { error: "out of memory" },
    { object: "error", message: "out of memory", code: 400 },
  ].map((event) => openaiDialect.createStreamReader(NO_BODY).onEvent(undefined, JSON.stringify(event)));
  expect(failures).toEqual([
    { kind: "failure", failure: { ...NO_WORDS, message: "out of memory", status: 500 } },
    { kind: "failure", failure: { ...NO_WORDS, message: "out of memory", status: undefined } },
    { kind: "failure", failure: { ...NO_WORDS, message: "out of memory", status: 400 } },
  ]);
  expect(follow(openaiDialect, [{ choices: [], error: null }]).kinds).toEqual(["data"]);
  expect(follow(anthropicDialect, [{ type: "error", error: { type: "api_error", message: "x" } }]).kinds).toEqual([
    "failure",
  ]);
  expect(follow(responsesDialect, [{ type: "error", message: "x" }]).kinds).toEqual(["failure"]);
});

test("an error that is empty beside an answer is none, and alone it is one", () => {
  const choices = [{ index: 0, delta: { content: "a" } }];
  for (const error of ["", {}, null, false, { message: "", code: null }]) {
    expect([error, follow(openaiDialect, [{ choices, error }]).kinds]).toEqual([error, ["data"]]);
    expect([error, follow(sglangDialect, [{ text: "a", meta_info: {}, error }]).kinds]).toEqual([error, ["data"]]);
  }
  for (const error of ["", {}]) expect(follow(openaiDialect, [{ error }]).kinds).toEqual(["failure"]);
});

test("an event by the name of error is one, whatever its data says", () => {
  for (const dialect of [openaiDialect, sglangDialect, anthropicDialect, responsesDialect]) {
    const meaning = dialect
      .createStreamReader(NO_BODY)
      .onEvent("error", '{"type":"internal","detail":"gone","code":503}');
    expect([dialect.name, meaning]).toMatchObject([dialect.name, { kind: "failure", failure: { status: 503 } }]);
  }
});

test("the end marker may have white space around it", () => {
  for (const dialect of [openaiDialect, sglangDialect])
    for (const data of ["[DONE]", "[DONE] ", " [DONE]\t"])
      expect(dialect.createStreamReader(NO_BODY).onEvent(undefined, data).kind).toBe("end");
});

test("an end marker of other APIs ends nothing where an event of the API does", () => {
  for (const dialect of [anthropicDialect, responsesDialect])
    for (const data of ["[DONE]", "[DONE] ", " [DONE]\t"])
      expect(dialect.createStreamReader(NO_BODY).onEvent(undefined, data).kind).toBe("nothing");
});

test("pings in JSON say nothing of the answer", () => {
  expect(follow(anthropicDialect, [{ type: "ping" }]).kinds).toEqual(["aside"]);
  expect(follow(responsesDialect, [{ type: "keepalive", sequence_number: 3 }]).kinds).toEqual(["aside"]);
  expect(openaiDialect.createStreamReader(NO_BODY).onEvent("ping", '{"type":"ping"}').kind).toBe("aside");
});

test("messages: the prompt is counted in the first event and the answer in the last", () => {
  const { reader, kinds } = follow(anthropicDialect, [
    { type: "message_start", message: { usage: { input_tokens: 7, output_tokens: 1 } } },
    { type: "content_block_delta", delta: { type: "text_delta", text: "hi" } },
    { type: "message_delta", usage: { output_tokens: 5 } },
    { type: "message_stop" },
  ]);
  expect(kinds).toEqual(["aside", "data", "data", "end"]);
  expect(reader.usage).toMatchObject({ promptTokens: 7, completionTokens: 5 });
});

test("messages: an answer that has said why it stopped lacks its last event alone", () => {
  const stop = (reason: unknown): object => ({ type: "message_delta", delta: { stop_reason: reason } });
  const text = { type: "content_block_delta", delta: { type: "text_delta", text: "hi" } };
  const isFinished = (...events: object[]): boolean => follow(anthropicDialect, events).reader.hasFinished(1);
  expect([isFinished(), isFinished(text), isFinished({ type: "message_delta", usage: {} })]).toEqual([
    false,
    false,
    false,
  ]);
  expect([isFinished(stop(null)), isFinished(stop("")), isFinished(stop("end_turn"), text)]).toEqual([
    false,
    false,
    false,
  ]);
  expect([isFinished(text, stop("end_turn")), isFinished(stop("tool_use"), { type: "ping" })]).toEqual([true, true]);
});

test("responses: what announces an answer before its prompt is prefilled is no part of it", () => {
  const { kinds } = follow(responsesDialect, [
    { type: "response.created", sequence_number: 0, response: {} },
    { type: "response.queued", sequence_number: 1, response: {} },
    { type: "response.in_progress", sequence_number: 2, response: {} },
    { type: "response.output_item.added", sequence_number: 3, item: {} },
  ]);
  expect(kinds).toEqual(["aside", "aside", "aside", "data"]);
});

test("responses: a cut one ends as failed, with the next number and what it was", () => {
  const response = { id: "resp_1", object: "response", status: "in_progress" };
  const { reader } = follow(responsesDialect, [
    { type: "response.created", sequence_number: 0, response },
    { type: "response.output_text.delta", sequence_number: 1, delta: "hi" },
  ]);
  const event = reader.errorEvent?.(FACTS) ?? "";
  expect(event).toStartWith("event: response.failed\ndata: ");
  expect(JSON.parse(event.split("\n")[1]?.slice(6) ?? "")).toEqual({
    type: "response.failed",
    sequence_number: 2,
    response: { ...response, status: "failed", error: { code: "upstream_reset", message: "it broke" } },
  });
  expect(event).toEndWith("data: [DONE]\n\n");
  expect(responsesDialect.createStreamReader(NO_BODY).errorEvent?.(FACTS)).toStartWith("event: error\n");
});

test("a reason that says nothing ends nothing, in every API that has one", () => {
  for (const nothing of ["", "null", null]) {
    const chat = { choices: [{ index: 0, delta: { content: "a" }, finish_reason: nothing }] };
    expect(follow(openaiDialect, [chat]).reader.hasFinished(1)).toBe(false);
    const native = { text: "a", meta_info: { finish_reason: nothing } };
    expect(follow(sglangDialect, [native]).reader.hasFinished(1)).toBe(false);
  }
});

test("generate: a batch is finished when as many have said so as were asked for", () => {
  const event = (index: number, reason: object | null): object => ({ index, meta_info: { finish_reason: reason } });
  const { reader } = follow(sglangDialect, [event(1, null), event(0, { type: "stop" })]);
  expect([reader.hasFinished(1), reader.hasFinished(2)]).toEqual([false, false]);
  reader.onEvent(undefined, JSON.stringify(event(1, { type: "length" })));
  expect([reader.hasFinished(2), reader.hasFinished(3)]).toEqual([true, false]);
});

test("generate: finished with the reason in meta_info", () => {
  const { reader } = follow(sglangDialect, [
    { text: "a", meta_info: { prompt_tokens: 2, completion_tokens: 1, finish_reason: null } },
    { text: "ab", meta_info: { prompt_tokens: 2, completion_tokens: 2, finish_reason: { type: "stop" } } },
  ]);
  expect([reader.hasFinished(1), reader.usage?.completionTokens]).toEqual([true, 2]);
});
