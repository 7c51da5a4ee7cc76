import { expect, test } from "bun:test";
import fc from "fast-check";
import { SseScanner } from "./sse-scanner.ts";

const MARKERS = { end: ["data: [DONE]"], finish: ['"finish_reason":"'], usage: '"usage":' };
const STREAM = [
  'data: {"choices":[{"delta":{"content":"Grüße 👋🏽"}}]}\n\n',
  ": keep-alive\n\n",
  'data: {"choices":[{"delta":{"content":"\\"usage\\": [DONE]"}}]}\r\n\r\n',
  'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
  'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
  "data: [DONE]\n\n",
].join("");

function scan(text: string, cuts: readonly number[]): { scanner: SseScanner; out: string } {
  const all = Buffer.from(text);
  const at = [0, ...cuts.map((cut) => cut % (all.length + 1)).sort((a, b) => a - b), all.length];
  const scanner = new SseScanner(MARKERS);
  const out = at.slice(1).map((end, index) => Buffer.from(scanner.push(all.subarray(at[index], end))));
  return { scanner, out: Buffer.concat(out).toString() };
}

test("a stream comes through byte for byte, and is understood, however it was cut", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 20 }), (cuts) => {
      const { scanner, out } = scan(STREAM, cuts);
      expect(out).toBe(STREAM);
      expect([scanner.events, scanner.isEnded, scanner.isFinished]).toEqual([4, true, true]);
      expect(JSON.parse(scanner.lastUsage ?? "").usage).toEqual({ prompt_tokens: 3, completion_tokens: 2 });
    }),
  );
});

test("a part of an event waits for its rest", () => {
  const scanner = new SseScanner(MARKERS);
  expect(scanner.push(Buffer.from('data: {"a":1}\n\ndata: {"b"')).toString()).not.toBe("");
  expect(Buffer.from(scanner.push(Buffer.from(":2}"))).toString()).toBe("");
  expect(Buffer.from(scanner.push(Buffer.from("\n\n"))).toString()).toBe('data: {"b":2}\n\n');
});

test("nothing passes after the end marker", () => {
  const { out, scanner } = scan("data: 1\n\ndata: [DONE]\n\ndata: 2\n\ndata: [DONE]\n\n", [3, 30]);
  expect(out).toBe("data: 1\n\ndata: [DONE]\n\n");
  expect(scanner.events).toBe(1);
});

test("an event without end is refused before it fills the memory", () => {
  const scanner = new SseScanner(MARKERS);
  const megabyte = Buffer.alloc(1024 * 1024, "a");
  expect(() => {
    for (let count = 0; count < 6; count += 1) scanner.push(megabyte);
  }).toThrow("too large");
});
