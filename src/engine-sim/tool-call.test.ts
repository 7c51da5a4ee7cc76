import { expect, test } from "bun:test";
import { constrainedText } from "./constraint.ts";
import { toolCallFor } from "./tool-call.ts";

const PLACES = { type: "object", properties: { place: { type: "string" } }, required: ["place"] };
const COUNTS = { type: "object", properties: { count: { type: "integer", minimum: 3 } }, required: ["count"] };

const OPENAI = [
  { type: "function", function: { name: "places", parameters: PLACES } },
  { type: "function", function: { name: "counts", parameters: COUNTS } },
];
const RESPONSES = OPENAI.map((tool) => ({ type: "function", ...tool.function }));
const ANTHROPIC = OPENAI.map(({ function: tool }) => ({ name: tool.name, input_schema: tool.parameters }));

function called(tools: readonly unknown[], choice: unknown, text: unknown = "hello"): unknown {
  const call = toolCallFor({ tools, tool_choice: choice, messages: [{ role: "user", content: text }] });
  return call && [call.name, call.arguments];
}

const PLACE = ["places", '{"place":"Crewe Junction"}'];
const COUNT = ["counts", '{"count":3}'];

test("a tool is called with arguments of its schema, in each API", () => {
  for (const tools of [OPENAI, RESPONSES, ANTHROPIC]) {
    expect(called(tools, undefined, "use counts")).toEqual(COUNT);
    expect(called(tools, undefined, [{ type: "text", text: "use places" }])).toEqual(PLACE);
  }
  const call = toolCallFor({ tools: RESPONSES, input: "use counts" });
  expect(call?.input).toEqual({ count: 3 });
});

test("a choice is heard in the words of each API", () => {
  expect(called(OPENAI, "required")).toEqual(PLACE);
  expect(called(OPENAI, { type: "function", function: { name: "counts" } })).toEqual(COUNT);
  expect(called(RESPONSES, { type: "function", name: "counts" })).toEqual(COUNT);
  expect(called(ANTHROPIC, { type: "any" })).toEqual(PLACE);
  expect(called(ANTHROPIC, { type: "tool", name: "counts" })).toEqual(COUNT);
  for (const none of ["none", { type: "none" }]) expect(called(OPENAI, none, "use counts")).toBeUndefined();
  for (const auto of ["auto", { type: "auto" }, undefined]) {
    expect(called(ANTHROPIC, auto)).toBeUndefined();
    expect(called(ANTHROPIC, auto, "use counts")).toEqual(COUNT);
  }
});

test("of allowed tools one of the list is called", () => {
  const counts = { type: "function", function: { name: "counts" } };
  expect(called(OPENAI, { type: "allowed_tools", allowed_tools: { mode: "required", tools: [counts] } })).toEqual(
    COUNT,
  );
  const flat = { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "counts" }] };
  expect(called(RESPONSES, flat, "use places or counts")).toEqual(COUNT);
});

test("after a tool's result the model answers", () => {
  const result = [{ type: "tool_result", tool_use_id: "places", content: "counts" }];
  expect(called(ANTHROPIC, undefined, result)).toBeUndefined();
  const input = [
    { role: "user", content: "use counts" },
    { type: "function_call_output", call_id: "c", output: "counts" },
  ];
  expect(toolCallFor({ tools: RESPONSES, input })).toBeUndefined();
});

test("text that the request binds to a schema is a value of it, in the words of each API", () => {
  const requests = [
    { response_format: { type: "json_schema", json_schema: { name: "n", schema: COUNTS } } },
    { text: { format: { type: "json_schema", name: "n", schema: COUNTS } } },
    { output_config: { format: { type: "json_schema", schema: COUNTS } } },
    { guided_json: COUNTS },
    { structured_outputs: { json: JSON.stringify(COUNTS) } },
    { text: "a prompt", sampling_params: { json_schema: JSON.stringify(COUNTS) } },
  ];
  for (const request of requests) expect([request, constrainedText(request)]).toEqual([request, '{"count":3}']);
  expect(constrainedText({ response_format: { type: "json_object" } })).toBe('{"answer":"Crewe Junction"}');
  for (const free of [{}, { response_format: { type: "text" } }, { text: { format: { type: "text" } } }]) {
    expect(constrainedText(free)).toBeUndefined();
  }
});
