import { describe, expect, test } from "bun:test";
import { bodyOf, refusal } from "../../../test/support/answers.ts";
import type { ChatPrompt, GenerationRequest } from "../generation.ts";
import { readResponses } from "./responses-request.ts";

const TOOL = { type: "function", name: "add", parameters: { type: "object" }, strict: true };

function read(more: object = {}): GenerationRequest {
  return readResponses(bodyOf({ model: "m", input: "hi", ...more })).generation;
}

function prompt(more: object = {}): ChatPrompt {
  const [first] = read(more).prompts;
  if (first?.kind !== "chat") throw new Error("not a conversation");
  return first.chat;
}

describe("the conversation", () => {
  test("is the instructions and a text", () => {
    expect(prompt({ instructions: "be kind" }).messages).toEqual([
      { role: "system", content: "be kind" },
      { role: "user", content: "hi" },
    ]);
  });

  test("has all that the model did in one turn in one message", () => {
    const input = [
      { role: "user", content: [{ type: "input_text", text: "1+2?" }] },
      { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "hm" }] },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "let me see", annotations: [] }] },
      { type: "function_call", call_id: "c1", name: "add", arguments: '{"x":1}' },
      { type: "function_call", call_id: "c2", name: "add", arguments: "{}" },
      { type: "function_call_output", call_id: "c1", output: "3" },
      { type: "function_call_output", call_id: "c2", output: [{ type: "input_text", text: "0" }] },
      { type: "reasoning", summary: [{ type: "summary_text", text: "easy" }] },
      { role: "assistant", content: "3" },
      { role: "developer", content: "go on" },
    ];
    const call = (id: string, args: string): object => ({
      id,
      type: "function",
      function: { name: "add", arguments: args },
    });
    expect(prompt({ input }).messages).toEqual([
      { role: "user", content: [{ type: "text", text: "1+2?" }] },
      {
        role: "assistant",
        content: [{ type: "text", text: "let me see" }],
        reasoning_content: "hm",
        tool_calls: [call("c1", '{"x":1}'), call("c2", "{}")],
      },
      { role: "tool", tool_call_id: "c1", content: "3" },
      { role: "tool", tool_call_id: "c2", content: [{ type: "text", text: "0" }] },
      { role: "assistant", content: "3", reasoning_content: "easy" },
      { role: "developer", content: "go on" },
    ]);
  });

  test("is refused where the arguments of a former call are no object", () => {
    const input = [
      { role: "user", content: "x" },
      { type: "function_call", call_id: "c", name: "f", arguments: '{"x": 1' },
    ];
    expect(() => prompt({ input })).toThrow("input[1].arguments must be the JSON text of an object");
  });

  test("takes back the output of an answer as it was", () => {
    const output = [
      {
        id: "rs_1",
        type: "reasoning",
        summary: [],
        content: [{ type: "reasoning_text", text: "r" }],
        status: "completed",
      },
      { id: "fc_1", type: "function_call", status: "completed", call_id: "c", name: "add", arguments: "{}" },
    ];
    expect(prompt({ input: [{ role: "user", content: "x" }, ...output] }).messages).toHaveLength(2);
  });
});

test("members have this API's names", () => {
  const more = {
    max_output_tokens: 9,
    reasoning: { effort: "minimal" },
    text: { format: { type: "json_schema", name: "x", schema: { type: "object" } } },
    include: ["message.output_text.logprobs", "reasoning.encrypted_content"],
    top_logprobs: 2,
  };
  expect(read(more)).toMatchObject({
    maxTokens: 9,
    constraint: { kind: "json_schema", schema: '{"type":"object"}' },
    logprobs: { top: 2 },
  });
  expect(prompt(more).kwargs).toEqual({ reasoning_effort: "minimal", enable_thinking: false, thinking: false });
});

test("tools and the choice among them", () => {
  const tools = [TOOL, { type: "function", name: "sub" }];
  expect(prompt({ tools }).tools?.[0]).toMatchObject({
    name: "add",
    description: undefined,
    parameters: { type: "object" },
    written: { strict: true },
  });
  const choice = (toolChoice: unknown): unknown => read({ tools, tool_choice: toolChoice }).toolChoice;
  expect(choice("required")).toEqual({ kind: "required", form: "json_calls" });
  expect(choice({ type: "function", name: "sub" })).toEqual({ kind: "function", name: "sub", form: "json_arguments" });
  const allowed = { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "sub" }] };
  expect(prompt({ tools, tool_choice: allowed }).tools?.map(({ name }) => name)).toEqual(["sub"]);
});

test("what needs a store, or tools that run here, is refused as not built", () => {
  const cases: [more: object, param: string][] = [
    [{ previous_response_id: "resp_1" }, "previous_response_id"],
    [{ conversation: "conv_1" }, "conversation"],
    [{ background: true }, "background"],
    [{ prompt: { id: "p" } }, "prompt"],
    [{ tools: [{ type: "web_search_preview" }] }, "tools[0].type"],
    [{ input: [{ type: "item_reference", id: "x" }] }, "input[0].type"],
    [{ input: [{ type: "computer_call" }] }, "input[0].type"],
  ];
  for (const [more, param] of cases)
    expect(refusal(readResponses, { input: "hi", ...more })).toBe(`not_implemented ${param}`);
  expect(refusal(readResponses, { input: "hi", store: true, background: false, previous_response_id: null })).toBe(
    "ok",
  );
});

test("what is wrong is named by its path", () => {
  const cases: [more: object, param: string][] = [
    [{ input: undefined }, "input"],
    [{ input: [] }, "input"],
    [{ input: [{ role: "tool", content: "x" }] }, "input[0].role"],
    [{ input: [{ role: "user", content: [{ type: "input_image" }] }] }, "input[0].content[0]"],
    [{ input: [{ type: "function_call", name: "x" }] }, "input[0].call_id"],
    [{ input: [{ type: "function_call_output", call_id: "x" }] }, "input[0].output"],
    [{ max_output_tokens: 0 }, "max_output_tokens"],
    [{ top_logprobs: 2 }, "top_logprobs"],
    [{ text: { format: { type: "json_schema", name: "x" } } }, "text.format.schema"],
    [{ truncation: "some" }, "truncation"],
    [{ store: "no" }, "store"],
    [{ tool_choice: "required" }, "tool_choice"],
  ];
  for (const [more, param] of cases)
    expect(refusal(readResponses, { input: "hi", ...more })).toBe(`invalid_request ${param}`);
});
