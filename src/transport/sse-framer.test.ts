import { expect, test } from "bun:test";
import fc from "fast-check";
import { SseFramer, type Verdict } from "./sse-framer.ts";

const STREAM = [
  'data: {"content":"Grüße 👋🏽"}\n\n',
  ": keep-alive\n\n",
  'event: ping\nid: 3\nretry: 10\ndata:{"content":"no space"}\n\n',
  "data: two\ndata: lines\n\n",
  ":comment\ndata: after a comment\n\n",
  "data: [DONE]\n\n",
].join("");

const EVENTS = [
  [undefined, '{"content":"Grüße 👋🏽"}'],
  ["ping", '{"content":"no space"}'],
  [undefined, "two\nlines"],
  [undefined, "after a comment"],
  [undefined, "[DONE]"],
];

function judge(data: string): Verdict {
  if (data === "[DONE]") return "last";
  return data === "bad" ? "stop" : "pass";
}

function frame(bytes: Buffer, cuts: readonly number[]): { framer: SseFramer; out: string; events: unknown[] } {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const events: unknown[] = [];
  const framer = new SseFramer((name, data) => {
    events.push([name, data]);
    return judge(data);
  });
  // A copy of each piece: what comes from a socket is the reader's own, and bare CR are changed in place.
  const out = at.slice(1).map((end, index) => Buffer.from(framer.push(Buffer.from(bytes.subarray(at[index], end)))));
  return { framer, out: Buffer.concat(out).toString(), events };
}

test("a stream comes through byte for byte, and is understood, however it was cut", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 20 }), (cuts) => {
      const { framer, out, events } = frame(Buffer.from(STREAM), cuts);
      expect(out).toBe(STREAM);
      expect(events).toEqual(EVENTS);
      expect([framer.events, framer.isEnded]).toEqual([4, true]);
    }),
  );
});

test("CRLF, bare CR and a byte order mark mean the same, cut at every byte", () => {
  const variants = [
    STREAM.replaceAll("\n", "\r\n"),
    STREAM.replaceAll("\n", "\r"),
    `\uFEFF${STREAM}`,
    `\uFEFF${STREAM.replaceAll("\n", "\r")}`,
  ];
  for (const variant of variants) {
    const bytes = Buffer.from(variant);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { events, out } = frame(bytes, [cut]);
      expect([cut, events]).toEqual([cut, EVENTS]);
      expect(out.startsWith("data:")).toBe(true);
    }
  }
});

test("a part of an event waits for its rest", () => {
  const framer = new SseFramer(() => "pass");
  const push = (text: string): string => Buffer.from(framer.push(Buffer.from(text))).toString();
  expect(push('data: {"a":1}\n\ndata: {"b"')).toBe('data: {"a":1}\n\n');
  expect(push(":2}")).toBe("");
  expect(push("\n\n")).toBe('data: {"b":2}\n\n');
});

test("nothing passes after the last event, and one that is stopped does not pass itself", () => {
  const { out, framer } = frame(Buffer.from("data: 1\n\ndata: [DONE]\n\ndata: 2\n\ndata: [DONE]\n\n"), [3, 30]);
  expect(out).toBe("data: 1\n\ndata: [DONE]\n\n");
  expect(framer.events).toBe(1);
  expect(frame(Buffer.from("data: 1\n\ndata: bad\n\ndata: 2\n\n"), []).out).toBe("data: 1\n\n");
});

test("an event without end is refused before it fills the memory", () => {
  const framer = new SseFramer(() => "pass");
  const megabyte = Buffer.alloc(1024 * 1024, "a");
  expect(() => {
    for (let count = 0; count < 6; count += 1) framer.push(megabyte);
  }).toThrow("too large");
});

test("data that is empty makes no event and is left out, however the stream was cut", () => {
  const empty = [
    "data:\n\n",
    "data: \n\n",
    "event: ping\ndata:\n\n",
    "event: delta\n\n",
    "event: error\n: gone\n\n",
    "data:\ndata:\n\n",
    "id: 1\ndata:  \n\n",
    "data\n\n",
    "event\ndata\ndata:\n\n",
  ];
  const wanted = 'data: {"a":1}\n\n: comment\n\ndata: [DONE]\n\n';
  for (const one of empty) {
    const stream = `${one}${one}data: {"a":1}\n\n${one}: comment\n\n${one}data: [DONE]\n\n`;
    for (const form of [stream, stream.replaceAll("\n", "\r\n"), stream.replaceAll("\n", "\r")]) {
      const bytes = Buffer.from(form);
      for (let cut = 0; cut <= bytes.length; cut += 1) {
        const { framer, out, events } = frame(bytes, [cut]);
        expect([one, cut, out.replaceAll("\r\n", "\n")]).toEqual([one, cut, wanted]);
        expect([events.length, framer.events, framer.isEnded]).toEqual([2, 1, true]);
      }
    }
  }
});

test("an event is left out, or passes without being counted, where that is the verdict", () => {
  const verdicts: Readonly<Record<string, Verdict>> = { no: "drop", ping: "aside" };
  const framer = new SseFramer((_name, data) => verdicts[data] ?? "pass");
  const out = framer.push(
    Buffer.from("data: no\n\ndata: 1\n\ndata: no\n\ndata: ping\n\ndata: 2\n\ndata: no\n\ndata: half"),
  );
  expect(Buffer.from(out).toString()).toBe("data: 1\n\ndata: ping\n\ndata: 2\n\n");
  expect([framer.events, framer.isEnded]).toEqual([2, false]);
  expect(Buffer.from(framer.push(Buffer.from("\n\n"))).toString()).toBe("data: half\n\n");
});
