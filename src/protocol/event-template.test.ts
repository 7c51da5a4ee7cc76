import { expect, test } from "bun:test";
import fc from "fast-check";
import { EventTemplate } from "./event-template.ts";

const chunk = (content: string, more: object = {}): string =>
  JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason: null }], ...more });

test("an event with another text in the same place fits, and no other", () => {
  const template = new EventTemplate();
  expect(template.fits(chunk("a"))).toBe(false);
  template.learn(chunk("a"));
  expect([chunk("b"), chunk(""), chunk("für 😀 ")].map((data) => template.fits(data))).toEqual([true, true, true]);
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
  expect(others.map((data) => template.fits(data))).toEqual(others.map(() => false));
  template.forget();
  expect(template.fits(chunk("b"))).toBe(false);
});

test("a text with an escape is not learnt from", () => {
  const template = new EventTemplate();
  template.learn(chunk('a"b'));
  expect(template.fits(chunk("b"))).toBe(false);
});

test("what fits is JSON, with all members but the text as they were learnt", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (learnt, next) => {
      const template = new EventTemplate();
      template.learn(chunk(learnt));
      // The text as it stands, escaped or not.
      const data = chunk("@").replace("@", () => next);
      if (!template.fits(data)) return;
      expect(JSON.parse(data)).toEqual(JSON.parse(chunk(next)));
    }),
    { numRuns: 2000 },
  );
});

test("a stream whose events are all different stops being learnt from", () => {
  const template = new EventTemplate();
  for (let count = 0; count < 100; count += 1) {
    template.fits(chunk("a", { count }));
    template.learn(chunk("a", { count }));
  }
  template.learn(chunk("a"));
  expect(template.fits(chunk("b"))).toBe(false);
});
