import { expect, test } from "bun:test";
import { ChatTemplate } from "../chat-template.ts";

/** Characters of the texts. What takes time by the square of it would take from ten seconds up. */
const LENGTH = 200_000;
/** Of the processor. What takes time by the length takes some milliseconds. */
const MOST_MS = 2000;

function rendered(expression: string, x: string): string {
  const template = ChatTemplate.compile(`{{ ${expression} }}`, {}, { maxSteps: 1e9, maxChars: 1e8, maxMs: 1e6 });
  return template.render({ messages: [], addGenerationPrompt: false, kwargs: { x } }).text;
}

/** Expressions, and texts in which each place looks like the beginning of what they search. */
const CASES: readonly (readonly [expression: string, text: string, right: string])[] = [
  ["x.expandtabs() | length", "a".repeat(LENGTH), String(LENGTH)],
  ["x.expandtabs() | length", "a\t".repeat(LENGTH / 2), String(4 * LENGTH)],
  ["x | striptags | length", "<".repeat(LENGTH), String(LENGTH)],
  ["x | striptags | length", "<!--".repeat(LENGTH / 4), String(LENGTH)],
  ["x | striptags", "<b>".repeat(LENGTH / 3), ""],
  ["(x % {}) | length", "%(".repeat(LENGTH / 2), String(LENGTH)],
  ["x | float", `${"1".repeat(LENGTH)}x`, "0.0"],
  ["x | int", `${"1".repeat(LENGTH)}x`, "0"],
  ["x.title() | length", "a".repeat(LENGTH), String(LENGTH)],
  ["x | wordcount", " a".repeat(LENGTH / 2), String(LENGTH / 2)],
  ["x.strip() | length", ` ${"a ".repeat(LENGTH / 2)}`, String(LENGTH - 1)],
  ["x.split() | length", " ".repeat(LENGTH), "0"],
  ["x.splitlines() | length", "\r\n".repeat(LENGTH / 4), String(LENGTH / 4)],
];

test.each(CASES)("%s takes no time by the square of the text", (expression, text, right) => {
  const from = process.cpuUsage();
  expect(rendered(expression, text)).toBe(right);
  const { user, system } = process.cpuUsage(from);
  expect((user + system) / 1000).toBeLessThan(MOST_MS);
});

test("tabs, tags and digits are read as in Python", () => {
  expect(rendered("x.expandtabs(4)", "a\tbc\n\tü\u{1F600}\t|\r12345\t|")).toBe("a   bc\n    ü\u{1F600}  |\r12345   |");
  expect(rendered("x.expandtabs(0)", "a\tb")).toBe("ab");
  expect(rendered("x | striptags", "a <b>c</b> <!-- <i> --> d <!-- e> f <g")).toBe("a c d f <g");
  expect(rendered("'{:,}'.format(x | int)", "-1234567")).toBe("-1,234,567");
  expect(rendered("'{:,}'.format(x | int)", "123")).toBe("123");
  for (const [text, right] of [
    ["1_0.5", "10.5"],
    ["1.", "1.0"],
    [".5e1", "5.0"],
    ["1e", "0.0"],
    ["1__0", "0.0"],
  ] as const) {
    expect(rendered("x | float", text)).toBe(right);
  }
});
