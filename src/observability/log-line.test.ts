import { expect, test } from "bun:test";
import fc from "fast-check";
import { isTextual, lineForm } from "./log-line.ts";

const PIPE = { isTerminal: false, env: {} };
const TERMINAL = { isTerminal: true, env: { TERM: "xterm" } };
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /;
const ESC = "\u001B";

test("lines are text on a terminal and JSON elsewhere, unless the format says otherwise", () => {
  expect([isTextual("auto", TERMINAL), isTextual("auto", PIPE)]).toEqual([true, false]);
  expect([isTextual("json", TERMINAL), isTextual("text", PIPE)]).toEqual([false, true]);
});

test("a text line has time, level, message and the fields that have a value", () => {
  const line = lineForm("text", PIPE)(
    40,
    { url: "http://gpu1:8000", code: undefined, ms: 1.5, said: "out of memory" },
    "worker status",
  );
  expect(line).toMatch(TIME);
  expect(line.replace(TIME, "")).toBe('WARN  worker status url=http://gpu1:8000 ms=1.5 said="out of memory"\n');
});

test("levels are named", () => {
  const form = lineForm("text", PIPE);
  expect([20, 30, 40, 50].map((level) => form(level, {}, "x").split(" ")[1])).toEqual([
    "DEBUG",
    "INFO",
    "WARN",
    "ERROR",
  ]);
});

test("colours are on a terminal only, and not where NO_COLOR is set or the terminal is dumb", () => {
  const line = (around: { isTerminal: boolean; env: Record<string, string> }): string =>
    lineForm("text", around)(50, {}, "x");
  expect(line(TERMINAL)).toContain(`${ESC}[31mERROR${ESC}[0m`);
  for (const around of [
    PIPE,
    { isTerminal: true, env: { NO_COLOR: "1" } },
    { isTerminal: true, env: { TERM: "dumb" } },
  ]) {
    expect(line(around)).not.toContain(ESC);
  }
  // An empty NO_COLOR counts as none.
  expect(line({ isTerminal: true, env: { NO_COLOR: "" } })).toContain(ESC);
});

test("whatever a client or worker says is one line, and steers no terminal", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(text, text, text, (name, value, message) => {
      const line = lineForm("text", PIPE)(30, { [name]: value, list: [value] }, message);
      // oxlint-disable-next-line no-control-regex -- these must not be there
      expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/);
      expect(line).toEndWith("\n");
    }),
  );
});
