import { expect, test } from "bun:test";
import { isFinishReason } from "./finish-reason.ts";

test("a reason is a word, or SGLang's object with one", () => {
  for (const reason of ["stop", "length", "tool_calls", "content_filter", { type: "stop", matched: 2 }])
    expect([reason, isFinishReason(reason)]).toEqual([reason, true]);
});

test("what engines write while an answer goes on is none", () => {
  for (const nothing of [undefined, null, "", "null", false, 0, {}, { type: null }, { type: "" }, []])
    expect([nothing, isFinishReason(nothing)]).toEqual([nothing, false]);
});
