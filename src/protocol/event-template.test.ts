import { expect, test } from "bun:test";
import fc from "fast-check";
import { EventTemplate } from "./event-template.ts";

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Whether the template recognises this data as a whole event. */
function fits(template: EventTemplate, data: string): boolean {
  const bytes = Buffer.from(`data: ${data}\n\n`);
  return template.endOf(viewOf(bytes), 0, bytes.length) === bytes.length;
}

const chunk = (content: string, more: object = {}): string =>
  JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason: null }], ...more });

test("an event with another text in the same place fits, and no other", () => {
  const template = new EventTemplate();
  expect(fits(template, chunk("a"))).toBe(false);
  template.learn(chunk("a"));
  expect([chunk("b"), chunk(""), chunk("für 😀 ")].map((data) => fits(template, data))).toEqual([true, true, true]);
  const others = [
    chunk('say "x"'),
    chunk("a\\b"),
    chunk("a\nb"),
    chunk("b", { usage: null }),
    chunk("b").replace('"c"', '"d"'),
    chunk("b").slice(0, -1),
    `${chunk("b")} `,
    chunk('","finish_reason":"stop'),
    chunk("x".repeat(1000)),
    "",
    "[DONE]",
  ];
  expect(others.map((data) => fits(template, data))).toEqual(others.map(() => false));
  template.forget();
  expect(fits(template, chunk("b"))).toBe(false);
});

test("events that stand behind each other are known one by one, and one that is not all there is not", () => {
  const template = new EventTemplate();
  template.learn(chunk("a"));
  const one = `data: ${chunk("b")}\n\n`;
  const bytes = Buffer.from(`${one}${one}`);
  expect(template.endOf(viewOf(bytes), 0, bytes.length)).toBe(one.length);
  expect(template.endOf(viewOf(bytes), one.length, bytes.length)).toBe(bytes.length);
  for (let to = 0; to < one.length; to += 1) expect(template.endOf(viewOf(bytes), 0, to)).toBe(-1);
  // Bytes after `to` belong to another piece.
  expect(template.endOf(viewOf(bytes), one.length, bytes.length - 1)).toBe(-1);
});

test("a text with an escape is not learnt from", () => {
  const template = new EventTemplate();
  template.learn(chunk('a"b'));
  expect(fits(template, chunk("b"))).toBe(false);
});

test("what fits is JSON, with all members but the text as they were learnt", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (learnt, next) => {
      const template = new EventTemplate();
      template.learn(chunk(learnt));
      // The text is inserted unchanged, escaped or not.
      const data = chunk("@").replace("@", () => next);
      if (!fits(template, data)) return;
      expect(JSON.parse(data)).toEqual(JSON.parse(chunk(next)));
    }),
    { numRuns: 2000 },
  );
});

test("a stream whose events are all different stops being learnt from", () => {
  const template = new EventTemplate();
  for (let count = 0; count < 100; count += 1) {
    fits(template, chunk("a", { count }));
    template.learn(chunk("a", { count }));
  }
  template.learn(chunk("a"));
  expect(fits(template, chunk("b"))).toBe(false);
});
