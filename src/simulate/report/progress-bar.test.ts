import { expect, test } from "bun:test";
import { ProgressBar } from "./progress-bar.ts";

function bar(columns: number | undefined) {
  let now = 0;
  const drawn: string[] = [];
  const made = new ProgressBar({ columns, write: (text) => drawn.push(text) }, () => now);
  return { bar: made, drawn, at: (ms: number) => (now = ms) };
}

test("a bar says how much is done, how long the rest takes, and what runs", () => {
  const { bar: made, drawn, at } = bar(80);
  at(10_000);
  made.show(0.25, "chat, mine, seed 1");
  expect(drawn).toEqual(["\r\u001b[K[######..................] 25 %, 30 s left  chat, mine, seed 1"]);
});

test("it is drawn ten times a second at most, and fits into the line", () => {
  const { bar: made, drawn, at } = bar(20);
  made.show(0, "a");
  at(99);
  made.show(0.1, "b");
  at(100);
  made.show(0.2, "c");
  expect(drawn).toHaveLength(2);
  for (const line of drawn) expect(line.replace("\r\u001b[K", "").length).toBeLessThan(20);
});

test("outside of a terminal nothing is drawn", () => {
  const { bar: made, drawn } = bar(undefined);
  made.show(0.5, "a");
  made.clear();
  expect(drawn).toEqual([]);
});
