import { expect, test } from "bun:test";
import { callsIn } from "./calls-in.ts";

test("calls of all messages count, and messages without calls do not", () => {
  const call = { id: "1", type: "function", function: { name: "f", arguments: "{}" } };
  const messages = [
    { role: "user", content: "hi" },
    { role: "assistant", tool_calls: [call, call] },
    { role: "tool", tool_call_id: "1", content: "done" },
    { role: "assistant", tool_calls: [call] },
  ];
  expect(callsIn(messages)).toBe(3);
});

test("what stands in place of a list of calls counts for nothing", () => {
  expect(callsIn([{ tool_calls: null }, { tool_calls: "two" }, { tool_calls: { length: 2 } }])).toBe(0);
  expect(callsIn([])).toBe(0);
});
