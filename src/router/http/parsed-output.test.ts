import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { OutputParserOptions } from "../../parser/create-output-parser.ts";
import { FIXTURES } from "../../../test/parser/fixtures/all.ts";
import { TOOLS } from "../../../test/parser/fixtures/fixture.ts";
import { ChoicesReader } from "../../protocol/openai/stream-reader.ts";
import type { UpstreamResponse } from "../../transport/upstream.ts";
import { changed } from "../../../test/support/changed.ts";
import { ChangedResponse } from "../changed-response.ts";
import { ParsedOutput } from "./parsed-output.ts";

const HERMES: OutputParserOptions = { toolCalls: "hermes", reasoning: "qwen3", tools: TOOLS };
const CALL = '<tool_call>{"name": "search", "arguments": {"q": 1}}</tool_call>';
const HEAD = { id: "c", object: "chat.completion.chunk", created: 1, model: "m" };

/** An answer whose bytes come in these chunks, each at once or later by turns. */
function upstreamOf(chunks: readonly Uint8Array[], status = 200): UpstreamResponse {
  let at = 0;
  return {
    status,
    headers: new Map(),
    read() {
      const next = chunks[at];
      at += 1;
      return at % 2 === 0 ? Promise.resolve(next) : next;
    },
    bytes: () => Promise.resolve(Buffer.concat(chunks)),
    discard: () => undefined,
  };
}

async function streamed(text: string, options: OutputParserOptions, cuts: readonly number[] = []): Promise<string> {
  const bytes = Buffer.from(text);
  const bounds = [0, ...cuts.filter((at) => at < bytes.length).sort((a, b) => a - b), bytes.length];
  const chunks = bounds.slice(1).map((end, index) => bytes.subarray(bounds[index], end));
  return changed(new ChangedResponse(upstreamOf(chunks), new ParsedOutput(options)));
}

async function whole(answer: object, options: OutputParserOptions, status = 200): Promise<string> {
  const response = new ChangedResponse(
    upstreamOf([Buffer.from(JSON.stringify(answer))], status),
    new ParsedOutput(options),
  );
  return Buffer.from(await response.bytes(1e6)).toString();
}

interface Message {
  readonly role?: string;
  readonly content?: string | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly {
    readonly index?: number;
    readonly id?: string;
    readonly function: { readonly name?: string; readonly arguments: string };
  }[];
}

interface Event {
  readonly choices: readonly {
    readonly index: number;
    readonly delta: Message;
    readonly finish_reason: string | null;
    readonly [member: string]: unknown;
  }[];
  readonly [member: string]: unknown;
}

function event(index: number, delta: object, finish: string | null = null, more: object = {}): string {
  const choice = { index, delta, logprobs: null, finish_reason: finish, ...more };
  return `data: ${JSON.stringify({ ...HEAD, choices: [choice] })}\n\n`;
}

/** The events of a raw stream with these texts for each answer, by turns. */
function rawStream(answers: readonly (readonly string[])[]): string {
  let stream = answers.map((_, index) => event(index, { role: "assistant", content: "" })).join("");
  const longest = Math.max(...answers.map((texts) => texts.length));
  for (let at = 0; at <= longest; at += 1) {
    answers.forEach((texts, index) => {
      const content = texts[at];
      if (content !== undefined) stream += event(index, { content });
      else if (at === texts.length) stream += event(index, {}, "stop");
    });
  }
  return `${stream}data: [DONE]\n\n`;
}

function eventsOf(stream: string): Event[] {
  const datas = [...stream.matchAll(/^data: (.*)$/gm)].map(([, data = ""]) => data);
  expect(datas.pop()).toBe("[DONE]");
  return datas.map((data) => JSON.parse(data) as Event);
}

interface Said {
  content: string;
  reasoning: string;
  calls: { name: string; arguments: string }[];
  finish: string | null;
}

/** What a client puts together; nothing may come after the end of an answer. */
function saidIn(stream: string): Said[] {
  const said: Said[] = [];
  for (const { choices } of eventsOf(stream)) {
    for (const { index, delta, finish_reason: finish } of choices) {
      const one = (said[index] ??= { content: "", reasoning: "", calls: [], finish: null });
      expect(one.finish).toBeNull();
      one.content += delta.content ?? "";
      one.reasoning += delta.reasoning_content ?? "";
      for (const { index: at = -1, id, function: named } of delta.tool_calls ?? []) {
        if (named.name !== undefined) {
          expect([at, typeof id]).toEqual([one.calls.length, "string"]);
          one.calls.push({ name: named.name, arguments: "" });
        }
        const call = one.calls[at];
        if (call) call.arguments += named.arguments;
      }
      one.finish = finish;
    }
  }
  return said;
}

function saidInWhole(answer: string): Said[] {
  const { choices } = JSON.parse(answer) as { choices: { message: Message; finish_reason: string }[] };
  return choices.map(({ message, finish_reason: finish }) => ({
    content: message.content ?? "",
    reasoning: message.reasoning_content ?? "",
    calls: (message.tool_calls ?? []).map((call) => ({
      name: call.function.name ?? "",
      arguments: call.function.arguments,
    })),
    finish,
  }));
}

function cut(text: string, at: readonly number[]): string[] {
  const bounds = [0, ...at.filter((one) => one < text.length).sort((a, b) => a - b), text.length];
  return bounds.slice(1).map((end, index) => text.slice(bounds[index], end));
}

const cuts = fc.array(fc.nat({ max: 300 }), { maxLength: 10 });
const byteCuts = fc.array(fc.nat({ max: 8000 }), { maxLength: 30 });

function rawWhole(texts: readonly string[]): object {
  return {
    ...HEAD,
    choices: texts.map((content, index) => ({
      index,
      message: { role: "assistant", content, tool_calls: [] },
      finish_reason: "stop",
    })),
  };
}

describe("a stream says what the whole answer says, two answers by turns, wherever texts and bytes are cut", () => {
  for (const [family, fixtures] of Object.entries(FIXTURES)) {
    test(family, async () => {
      // Half a character is no JSON that all readers take.
      const one = fc.constantFrom(...fixtures.filter(({ text }) => text.isWellFormed()));
      const property = fc.asyncProperty(one, cuts, cuts, byteCuts, async ({ text, options }, first, second, bytes) => {
        const parser = { tools: TOOLS, ...options };
        const raw = rawStream([cut(text, first), cut(`${text}\n${text}`, second)]);
        const said = saidIn(await streamed(raw, parser, bytes));
        expect(said).toEqual(saidInWhole(await whole(rawWhole([text, `${text}\n${text}`]), parser)));
      });
      await fc.assert(property, { numRuns: 60 });
    });
  }
});

test("calls and reasoning come as an engine would tell them", async () => {
  const raw = rawStream([["<think>hm", "m</think>", "Well.", CALL.slice(0, 30), CALL.slice(30)]]);
  const deltas = eventsOf(await streamed(raw, { ...HERMES, newCallId: () => "id" })).map(({ choices }) => [
    choices[0]?.delta,
    choices[0]?.finish_reason,
  ]);
  const call = { index: 0, id: "id", type: "function", function: { name: "search", arguments: "" } };
  expect(deltas).toEqual([
    [{ role: "assistant", content: "" }, null],
    [{ reasoning_content: "hm" }, null],
    [{ reasoning_content: "m" }, null],
    [{ content: "Well." }, null],
    [{ tool_calls: [call] }, null],
    [{ tool_calls: [{ index: 0, function: { arguments: '{"q": 1}' } }] }, null],
    [{}, "tool_calls"],
  ]);
});

test("plain text is the same bytes", async () => {
  const raw = `: hello\n\nid: 7\n${rawStream([["Plain ", "text with 1 < 2, ", "größer 東京 "], ["other"]])}`;
  expect(await streamed(raw, HERMES)).toBe(raw);
});

test("what an event has besides its text stays, also where the text is held back", async () => {
  const logprobs = { content: [{ token: "<", logprob: -0.1 }] };
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  const raw =
    `event: x\r\ndata: {"z":1.5,"id":"c","choices":[{"index":0,"more":{"a":null},"delta":{"own":[1],"content":"a<tool"},"finish_reason":null}]}\r\n\r\n` +
    event(0, { content: "_ca" }, null, { logprobs }) +
    `data: ${JSON.stringify({ ...HEAD, choices: [], usage })}\n\n` +
    "data: [DONE]\n\n";
  expect(await streamed(raw, HERMES)).toBe(
    `event: x\r\ndata: {"z":1.5,"id":"c","choices":[{"index":0,"more":{"a":null},"delta":{"own":[1],"content":"a"},"finish_reason":null}]}\r\n\r\n` +
      event(0, { content: "" }, null, { logprobs }) +
      `data: ${JSON.stringify({ ...HEAD, choices: [], usage })}\n\n` +
      event(0, { content: "<tool_ca" }) +
      "data: [DONE]\n\n",
  );
});

test("an event of which nothing is left does not come", async () => {
  const stream = await streamed(rawStream([["<tool", "_call>", "{", '"name": "sea']]), HERMES);
  const said = eventsOf(stream).map(({ choices }) => choices[0]?.delta.content);
  expect(said).toEqual(["", '<tool_call>{"name": "sea', undefined]);
});

test("an answer that was cut keeps what was held as content, and its finish_reason", async () => {
  const raw = `${event(0, { role: "assistant", content: "Hi <tool_ca" }, "length", { stop_reason: 5 })}data: [DONE]\n\n`;
  expect(await streamed(raw, HERMES)).toBe(
    event(0, { role: "assistant", content: "Hi " }) +
      event(0, { content: "<tool_ca" }) +
      event(0, {}, "length", { stop_reason: 5 }) +
      "data: [DONE]\n\n",
  );
  const [said] = saidIn(await streamed(rawStream([[`${CALL}<tool_ca`]]).replace('"stop"', '"length"'), HERMES));
  expect([said?.calls.length, said?.finish]).toEqual([1, "length"]);
});

test("text and end in one event: calls come first, and whose answer it is before them", async () => {
  const raw = `${event(0, { role: "assistant", content: `So:${CALL}` }, "stop")}data: [DONE]\n\n`;
  const events = eventsOf(await streamed(raw, HERMES));
  expect(events.map(({ choices }) => Object.keys(choices[0]?.delta ?? {}).join())).toEqual([
    "role,content",
    "tool_calls",
    "tool_calls",
    "",
  ]);
  expect(events.at(-1)?.choices[0]?.finish_reason).toBe("tool_calls");
});

test("several answers in one event", async () => {
  const choice = (index: number, content: string): object => ({ index, delta: { content }, finish_reason: null });
  const raw =
    `data: ${JSON.stringify({ ...HEAD, choices: [choice(0, "<thi"), choice(1, "<think>a</think>b")] })}\n\n` +
    `data: ${JSON.stringify({ ...HEAD, choices: [choice(0, "nk>c</think>"), choice(1, "d")] })}\n\n` +
    "data: [DONE]\n\n";
  expect(saidIn(await streamed(raw, HERMES))).toEqual([
    { content: "", reasoning: "c", calls: [], finish: null },
    { content: "bd", reasoning: "a", calls: [], finish: null },
  ]);
});

test("an engine that parses for itself is left alone, but for what was held before it did", async () => {
  const own = [
    event(0, { role: "assistant", content: "", tool_calls: [] }),
    event(0, { reasoning_content: "hm <tool_call>" }),
    event(0, { content: CALL }),
    event(0, { content: null, tool_calls: [{ index: 0, id: "x", function: { name: "a", arguments: "{}" } }] }),
    event(0, {}, "tool_calls"),
    "data: [DONE]\n\n",
  ].join("");
  expect(await streamed(own, HERMES)).toBe(own);
  const late = event(0, { tool_calls: [{ index: 0, id: "x", function: { name: "a", arguments: "{}" } }] });
  const rest = `${late}${event(0, {}, "stop")}data: [DONE]\n\n`;
  expect(await streamed(event(0, { content: "a <" }) + rest, HERMES)).toBe(
    event(0, { content: "a " }) + event(0, { content: "<" }) + rest,
  );
  const message = { role: "assistant", content: CALL, reasoning_content: "hm" };
  const answer = { ...HEAD, choices: [{ index: 0, message, finish_reason: "stop" }] };
  expect(await whole(answer, HERMES)).toBe(JSON.stringify(answer));
});

test("a stream that is cut shows nothing of what was held, so that another worker may write it again", async () => {
  const raw = event(0, { content: "Hello <tool_c" });
  expect(await streamed(raw, HERMES)).toBe(event(0, { content: "Hello " }));
});

test("whole answers keep all other bytes", async () => {
  const response = new ChangedResponse(
    upstreamOf([
      Buffer.from(
        `{"id":"c", "z":1.0,"choices":[ {"index":0,"message":{"role":"assistant","refusal":null,"content":${JSON.stringify(`<think>a</think>${CALL}`)},"own":7},"big":12345678901234567890,"finish_reason":"stop"} ],"usage":{"prompt_tokens":1}}`,
      ),
    ]),
    new ParsedOutput({ ...HERMES, newCallId: () => "id" }),
  );
  const call = '{"id":"id","type":"function","function":{"name":"search","arguments":"{\\"q\\": 1}"}}';
  expect(Buffer.from(await response.bytes(1e6)).toString()).toBe(
    `{"id":"c", "z":1.0,"choices":[ {"index":0,"message":{"role":"assistant","refusal":null,"content":null,"own":7,"reasoning_content":"a","tool_calls":[${call}]},"big":12345678901234567890,"finish_reason":"tool_calls"} ],"usage":{"prompt_tokens":1}}`,
  );
});

test("errors, and what is no chat answer, pass as they are", async () => {
  const answer = rawWhole([CALL]);
  expect(await whole(answer, HERMES, 400)).toBe(JSON.stringify(answer));
  for (const other of [{}, { choices: null }, { choices: [] }, { choices: [3, { message: { content: [CALL] } }] }]) {
    expect(await whole(other, HERMES)).toBe(JSON.stringify(other));
  }
  const nonsense = [
    "data: {",
    "data: 7",
    'data: {"choices":7}',
    'data: {"choices":[7,{"delta":7},{"delta":{"content":7}}]}',
    'data: {"error":{"message":"x"}}',
    ": ping",
    "data: [1]\ndata: [2]",
  ];
  const raw = `${nonsense.join("\n\n")}\n\ndata: [DONE]\n\n`;
  expect(await streamed(raw, HERMES)).toBe(raw);
});

test("whatever the model writes, no text is lost and every event is one", async () => {
  const part = fc.oneof(
    fc.constantFrom(
      "<tool_call>",
      "</tool_call>",
      "<think>",
      "</think>",
      '{"name": "search"',
      "}",
      "{",
      '"',
      "\n",
      "word",
    ),
    fc.string({ unit: "binary", maxLength: 3 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 25 }), byteCuts, async (parts, bytes) => {
      const texts = parts.map((text) => text.toWellFormed());
      const stream = await streamed(rawStream([texts]), HERMES, bytes);
      const [said] = saidIn(stream);
      expect(said).toEqual(saidInWhole(await whole(rawWhole([texts.join("")]), HERMES))[0] as Said);
      const words = (text: string): number => text.split("word").length;
      const told = [said?.content, said?.reasoning, ...(said?.calls ?? []).map((call) => call.arguments)].join("\n");
      // Of an answer that ends within a key of a call, that key is left out: nobody knows what it would have become.
      const text = texts.join("");
      expect(words(told)).toBeGreaterThanOrEqual(words(text.replace(/"[^"]*$/, "")));
      expect(words(told)).toBeLessThanOrEqual(words(text));
      const reader = new ChoicesReader();
      for (const one of eventsOf(stream)) reader.onEvent(undefined, JSON.stringify(one));
      expect(reader.hasFinished(1)).toBe(true);
    }),
    { numRuns: 300 },
  );
});
