import { expect, test } from "bun:test";
import { bodyOf } from "../../test/support/answers.ts";
import { endpointAt } from "../../test/support/endpoints.ts";
import type { AnswerChange } from "./answer-change.ts";
import { StreamEvents } from "./stream-events.ts";

const { dialect } = endpointAt("/v1/chat/completions");

function eventsOf(changes: readonly AnswerChange[] = []): StreamEvents {
  return new StreamEvents({
    reader: dialect.createStreamReader(bodyOf({})),
    eventNames: dialect.eventNames,
    origin: "http://worker:1",
    changes,
    continuation: undefined,
  });
}

const chunk = (content: string, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;

function push(events: StreamEvents, text: string): string {
  return Buffer.from(events.push(Buffer.from(text))).toString();
}

function passes(events: StreamEvents, text: string): boolean {
  const bytes = Buffer.from(text);
  return events.framer.passes(bytes, 0, bytes.length);
}

const LOUD: AnswerChange = {
  marker: undefined,
  readsText: true,
  event: (data) => ({ before: [], data: data.toUpperCase(), value: undefined }),
  whole: (body) => body,
};

test("events pass whole and are counted, the end marker is not, and nothing passes after it", () => {
  const events = eventsOf();
  expect(push(events, chunk("a") + chunk("b").slice(0, 20))).toBe(chunk("a"));
  expect(push(events, `${chunk("b").slice(20)}data: [DONE]\n\ndata: {}\n\n`)).toBe(`${chunk("b")}data: [DONE]\n\n`);
  expect([events.events, events.isEnded, events.failure]).toEqual([2, true, undefined]);
  expect(Buffer.from(events.rest).toString()).toBe("data: {}\n\n");
});

test("an event that differs from the one before in its text alone passes unread, and is counted", () => {
  const events = eventsOf();
  push(events, chunk("a"));
  expect([passes(events, chunk("b")), passes(events, chunk("c", "stop")), events.events]).toEqual([true, false, 2]);
});

test("a change that reads the text is given each event", () => {
  const events = eventsOf([{ ...LOUD, event: () => undefined }]);
  push(events, chunk("a"));
  expect(passes(events, chunk("b"))).toBe(false);
});

test("a change that looks at no text leaves the fast way open, and gets every other event", () => {
  const seen: string[] = [];
  const events = eventsOf([{ ...LOUD, readsText: false, event: (data) => void seen.push(data) }]);
  push(events, chunk("a"));
  expect(passes(events, chunk("b"))).toBe(true);
  push(events, chunk("c", "stop"));
  expect(seen.length).toBe(2);
});

test("an event that is changed passes changed", () => {
  const events = eventsOf([{ ...LOUD, event: (data) => ({ before: ["{}"], data, value: undefined }) }]);
  expect(push(events, chunk("a"))).toBe(`data: {}\n\n${chunk("a")}`);
  expect(events.events).toBe(2);
});

test("usage is that of the changed events", () => {
  const usage = { prompt_tokens: 1, completion_tokens: 2 };
  const changed = JSON.stringify({ choices: [], usage: { ...usage, prompt_tokens: 9 } });
  const events = eventsOf([
    { ...LOUD, marker: "usage", event: () => ({ before: [], data: changed, value: undefined }) },
  ]);
  push(events, `data: ${JSON.stringify({ choices: [], usage })}\n\n`);
  expect(events.usage).toMatchObject({ promptTokens: 9, completionTokens: 2 });
});

test("an error that the engine tells is not passed, and says nothing of the worker's address", () => {
  const events = eventsOf();
  expect(push(events, `${chunk("a")}data: {"error":{"message":"out of memory at http://worker:1"}}\n\n`)).toBe(
    chunk("a"),
  );
  expect([events.failure?.code, events.isEnded]).toEqual(["upstream_stream_error", true]);
  expect(events.failure?.message).not.toContain("worker:1");
});

test("an event that is no JSON is a failure, and a ping in words of another name is left out", () => {
  const events = eventsOf();
  expect(push(events, `event: keepalive\ndata: still here\n\n${chunk("a")}`)).toBe(chunk("a"));
  expect(events.failure).toBeUndefined();
  expect(push(events, "data: {broken\n\n")).toBe("");
  expect(events.failure?.code).toBe("upstream_event_invalid");
});

test("nothing passes once it was ended from outside", () => {
  const events = eventsOf();
  events.end();
  expect([push(events, chunk("a")), events.isEnded, events.events]).toEqual(["", true, 0]);
});
