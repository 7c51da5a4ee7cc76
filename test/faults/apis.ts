import { expect } from "bun:test";
import { dig, type Reply, type SseEvent, readEvents } from "./ask.ts";

/** One of the APIs that clients speak: how a request, a stream and an error look in it. */
export interface Api {
  readonly name: string;
  readonly path: string;
  body(model: string, extra?: Readonly<Record<string, unknown>>): Record<string, unknown>;
  /** A whole answer. */
  whole(text: string): string;
  /** What a worker streams before the first piece of text, framed. */
  readonly opening: string;
  /** A piece of text, framed; `index` counts from 0. */
  delta(text: string, index: number): string;
  /** How a whole stream ends, framed; `index` is the number of pieces before it. */
  ending(index: number): string;
  /** The piece of text in an event, if there is one. */
  textOf(event: unknown): unknown;
  /** The status that a row of the error table has in this API. */
  status(status: number): number;
  errorBody(reply: Reply, expected: ExpectedError): void;
  /** Expects the last events of a stream to tell of this error, and nothing else to. */
  errorEvent(events: readonly SseEvent[], expected: ExpectedError): void;
}

export interface ExpectedError {
  readonly code: string;
  /** `error.type` in OpenAI's shape. */
  readonly type?: string;
  /** `error.type` in Anthropic's. */
  readonly anthropic?: string;
}

const data = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
const named = (value: { readonly type: string }): string => `event: ${value.type}\n${data(value)}`;
const HELLO = [{ role: "user", content: "Hello there" }];

const CHUNK = { id: "c", object: "chat.completion.chunk", created: 1, model: "raw" };

export const CHAT: Api = {
  name: "/v1/chat/completions",
  path: "/v1/chat/completions",
  body: (model, extra = {}) => ({ model, messages: HELLO, ...extra }),
  whole: (content) =>
    JSON.stringify({
      ...CHUNK,
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    }),
  opening: "",
  delta: (content) => data({ ...CHUNK, choices: [{ index: 0, delta: { content }, finish_reason: null }] }),
  ending: () => `${data({ ...CHUNK, choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}data: [DONE]\n\n`,
  textOf: (event) => dig(event, "choices", 0, "delta", "content"),
  status: (status) => status,
  errorBody: expectOpenAi,
  errorEvent(events, { code, type = "server_error" }) {
    const errors = events.filter((event) => event.data.includes('"error"'));
    expect(errors).toHaveLength(1);
    expect(events.at(-1)).toBe(errors[0]);
    expect(dig(JSON.parse(events.at(-1)?.data ?? ""), "error")).toEqual({
      message: expect.any(String),
      type,
      param: null,
      code,
    });
    expect(events.map((event) => event.data)).not.toContain("[DONE]");
  },
};

export const MESSAGES: Api = {
  name: "/v1/messages",
  path: "/v1/messages",
  body: (model, extra = {}) => ({ model, max_tokens: 16, messages: HELLO, ...extra }),
  whole: (text) =>
    JSON.stringify({
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "raw",
      content: [{ type: "text", text }],
      stop_reason: "end_turn",
      stop_sequence: null,
      usage: { input_tokens: 1, output_tokens: 1 },
    }),
  opening: [
    named({
      type: "message_start",
      ...{
        message: {
          id: "msg_1",
          type: "message",
          role: "assistant",
          model: "raw",
          content: [],
          stop_reason: null,
          stop_sequence: null,
          usage: { input_tokens: 1, output_tokens: 0 },
        },
      },
    }),
    named({ type: "content_block_start", ...{ index: 0, content_block: { type: "text", text: "" } } }),
  ].join(""),
  delta: (text) => named({ type: "content_block_delta", ...{ index: 0, delta: { type: "text_delta", text } } }),
  ending: () =>
    [
      named({ type: "content_block_stop", ...{ index: 0 } }),
      named({
        type: "message_delta",
        ...{ delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 1 } },
      }),
      named({ type: "message_stop" }),
    ].join(""),
  textOf: (event) => dig(event, "delta", "text"),
  // Anthropic's clients know 529 as "overloaded".
  status: (status) => (status === 503 ? 529 : status),
  errorBody(reply, { anthropic = "api_error" }) {
    const body: unknown = JSON.parse(reply.text);
    const id = reply.headers.get("request-id");
    expect(id).toBe(reply.headers.get("x-request-id"));
    expect(body).toMatchObject({ type: "error", error: { type: anthropic }, request_id: id });
    expect(dig(body, "error", "message")).toBeString();
  },
  errorEvent(events, { anthropic = "api_error" }) {
    expect(events.filter((event) => event.name === "error")).toHaveLength(1);
    expect(events.at(-1)?.name).toBe("error");
    expect(JSON.parse(events.at(-1)?.data ?? "")).toMatchObject({ type: "error", error: { type: anthropic } });
    expect(events.map((event) => event.name)).not.toContain("message_stop");
  },
};

const RESPONSE = { id: "resp_1", object: "response", created_at: 1, model: "raw", error: null, metadata: {} };
const OUTPUT = (text: string): object[] => [
  {
    type: "message",
    id: "msg_1",
    status: "completed",
    role: "assistant",
    content: [{ type: "output_text", text, annotations: [] }],
  },
];

export const RESPONSES: Api = {
  name: "/v1/responses",
  path: "/v1/responses",
  body: (model, extra = {}) => ({ model, input: "Hello there", ...extra }),
  whole: (text) => JSON.stringify({ ...RESPONSE, status: "completed", output: OUTPUT(text) }),
  opening: named({
    type: "response.created",
    ...{ sequence_number: 0, response: { ...RESPONSE, status: "in_progress", output: [] } },
  }),
  delta: (delta, index) =>
    named({
      type: "response.output_text.delta",
      ...{ sequence_number: index + 1, item_id: "msg_1", output_index: 0, content_index: 0, delta },
    }),
  ending: (index) =>
    named({
      type: "response.completed",
      ...{ sequence_number: index + 1, response: { ...RESPONSE, status: "completed", output: OUTPUT("") } },
    }),
  textOf: (event) => dig(event, "delta"),
  status: (status) => status,
  errorBody: expectOpenAi,
  errorEvent(events, { code }) {
    const typed = events.filter((event) => event.data !== "[DONE]");
    // Open Responses ends with the marker in any case; before the last event it is nobody's.
    expect(events.findIndex((event) => event.data === "[DONE]")).toBeOneOf([-1, typed.length]);
    expect(JSON.parse(typed.at(-1)?.data ?? "")).toMatchObject({
      type: "response.failed",
      sequence_number: typed.length - 1,
      response: {
        id: dig(JSON.parse(typed[0]?.data ?? ""), "response", "id"),
        status: "failed",
        error: { code, message: expect.any(String) },
      },
    });
    expect(typed.at(-1)?.name).toBe("response.failed");
    expect(typed.filter((event) => /error|response\.(failed|completed)/.test(event.name ?? ""))).toHaveLength(1);
  },
};

export const APIS: readonly Api[] = [CHAT, MESSAGES, RESPONSES];

function expectOpenAi(reply: Reply, { code, type = "server_error" }: ExpectedError): void {
  const body: unknown = JSON.parse(reply.text);
  const param = dig(body, "error", "param");
  expect(param === null || typeof param === "string").toBe(true);
  expect(body).toEqual({ error: { message: expect.any(String), type, param, code } });
}

/** What would tell a client where a worker stands, or how the gateway is built. */
const INTERNALS = /127\.0\.0\.1|localhost|\/root\/|\/src\/|\.py\b|\.ts\b|Traceback| at [^"]+:\d+/;

/** Expects an answer to be this error and nothing else, in the API's own shape, with nothing of the worker in it. */
export function expectError(api: Api, reply: Reply, status: number, expected: ExpectedError): void {
  expect([api.name, reply.status, reply.text]).toEqual([api.name, api.status(status), reply.text]);
  expect(reply.headers.get("content-type")).toStartWith("application/json");
  expect(reply.headers.get("x-request-id")).toMatch(/^\S+$/);
  expect(`${reply.text}${JSON.stringify([...reply.headers])}`).not.toMatch(INTERNALS);
  api.errorBody(reply, expected);
}

/** Expects a stream to have brought these pieces of text, each once, and then to have told of this error. */
export function expectCut(api: Api, reply: Reply, pieces: readonly string[], expected: ExpectedError): void {
  expect([api.name, reply.status]).toEqual([api.name, 200]);
  expect(reply.headers.get("content-type")).toStartWith("text/event-stream");
  expect(piecesIn(api, reply.text)).toEqual([...pieces]);
  expect(reply.text).not.toMatch(INTERNALS);
  api.errorEvent(readEvents(reply.text), expected);
}

/** The pieces of text in a stream. */
export function piecesIn(api: Api, text: string): unknown[] {
  return readEvents(text)
    .map(({ data }) => api.textOf(parse(data)))
    .filter((piece) => piece !== undefined);
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    // An end marker, or what the test is about: no piece of text in any case.
    return undefined;
  }
}
