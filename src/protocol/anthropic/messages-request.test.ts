import { describe, expect, test } from "bun:test";
import { bodyOf, refusal } from "../../../test/support/answers.ts";
import type { ChatPrompt, GenerationRequest } from "../generation.ts";
import { countTokensAnswer, readCountTokens, readMessages } from "./messages-request.ts";

const LEAST = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
const TOOL = { name: "add", description: "adds", input_schema: { type: "object" } };

function read(more: object = {}): GenerationRequest {
  return readMessages(bodyOf({ ...LEAST, ...more })).generation;
}

function prompt(more: object = {}): ChatPrompt {
  const [first] = read(more).prompts;
  if (first?.kind !== "chat") throw new Error("not a conversation");
  return first.chat;
}

test("members have this API's names", () => {
  const more = { temperature: 0.5, top_k: 5, top_p: 0.9, stop_sequences: ["END"] };
  expect(read(more)).toMatchObject({
    maxTokens: 9,
    n: 1,
    stop: ["END"],
    sampling: { temperature: 0.5, topK: 5, topP: 0.9 },
  });
});

describe("the conversation", () => {
  test("begins with the system prompt, as a text or as blocks", () => {
    expect(prompt({ system: "be kind" }).messages[0]).toEqual({ role: "system", content: "be kind" });
    const blocks = [{ type: "text", text: "be kind", cache_control: { type: "ephemeral" } }];
    expect(prompt({ system: blocks }).messages[0]).toEqual({
      role: "system",
      content: [{ type: "text", text: "be kind" }],
    });
  });

  test("has calls and their results in the shape of templates", () => {
    const messages = [
      { role: "user", content: "1+2?" },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "hm", signature: "s" },
          { type: "redacted_thinking", data: "x" },
          { type: "text", text: "let me see" },
          { type: "tool_use", id: "t1", name: "add", input: { x: 1 } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "3" }] },
          { type: "text", text: "thanks" },
        ],
      },
    ];
    expect(prompt({ messages }).messages).toEqual([
      { role: "user", content: "1+2?" },
      {
        role: "assistant",
        content: [{ type: "text", text: "let me see" }],
        reasoning_content: "hm",
        tool_calls: [{ id: "t1", type: "function", function: { name: "add", arguments: { x: 1 } } }],
      },
      { role: "tool", tool_call_id: "t1", content: [{ type: "text", text: "3" }] },
      { role: "user", content: [{ type: "text", text: "thanks" }] },
    ]);
  });

  test("that ends with the assistant is gone on with", () => {
    const messages = [...LEAST.messages, { role: "assistant", content: "well," }];
    expect(prompt({ messages })).toMatchObject({ continueFinalMessage: true, addGenerationPrompt: false });
    expect(prompt()).toMatchObject({ continueFinalMessage: false, addGenerationPrompt: true });
  });

  test("goes with thinking as the template knows it", () => {
    const on = { enable_thinking: true, thinking: true };
    expect(prompt({ thinking: { type: "enabled", budget_tokens: 1024 } }).kwargs).toEqual(on);
    expect(prompt({ thinking: { type: "disabled" } }).kwargs).toEqual({ enable_thinking: false, thinking: false });
    expect(prompt({ output_config: { effort: "low" } }).kwargs).toEqual({ reasoning_effort: "low" });
    expect(prompt().kwargs).toEqual({});
  });
});

test("tools and the choice among them", () => {
  const tools = [TOOL];
  expect(prompt({ tools }).tools).toEqual([
    { name: "add", description: "adds", parameters: { type: "object" }, isStrict: false },
  ]);
  const choice = (toolChoice: object): unknown => read({ tools, tool_choice: toolChoice }).toolChoice;
  expect(choice({ type: "auto" })).toEqual({ kind: "auto" });
  expect(choice({ type: "none" })).toEqual({ kind: "none" });
  expect(choice({ type: "any" })).toEqual({ kind: "required", form: "json_calls" });
  expect(choice({ type: "tool", name: "add" })).toEqual({ kind: "function", name: "add", form: "json_arguments" });
  expect(read({ tools, tool_choice: { type: "auto", disable_parallel_tool_use: true } }).parallelToolCalls).toBe(false);
});

test("a format makes the text JSON", () => {
  const format = { type: "json_schema", schema: { type: "object" } };
  const expected = { kind: "json_schema", schema: '{"type":"object"}' } as const;
  expect(read({ output_config: { format } }).constraint).toEqual(expected);
  expect(read({ output_format: format }).constraint).toEqual(expected);
});

test("tokens are counted of the same prompt, for which no limit is needed", () => {
  const more = { system: "be kind", tools: [TOOL] };
  const { max_tokens: _none, ...rest } = LEAST;
  expect(readCountTokens(bodyOf({ ...rest, ...more }))).toEqual(prompt(more));
  expect(countTokensAnswer(12)).toBe('{"input_tokens":12}');
});

test("what is wrong is named by its path", () => {
  const block = (content: object): object => ({ messages: [{ role: "user", content: [content] }] });
  const cases: [more: object, refused: string][] = [
    [{ max_tokens: undefined }, "invalid_request max_tokens"],
    [{ max_tokens: 0 }, "invalid_request max_tokens"],
    [{ messages: [] }, "invalid_request messages"],
    [{ messages: [{ role: "tool", content: "x" }] }, "invalid_request messages[0].role"],
    [{ messages: [{ role: "user" }] }, "invalid_request messages[0].content"],
    [block({ type: "image", source: {} }), "invalid_request messages[0].content[0]"],
    [block({ type: "text" }), "invalid_request messages[0].content[0].text"],
    [block({ text: "x" }), "invalid_request messages[0].content[0].type"],
    [block({ type: "tool_result" }), "invalid_request messages[0].content[0].tool_use_id"],
    [
      block({ type: "tool_result", tool_use_id: "t", content: [{ type: "image" }] }),
      "invalid_request messages[0].content[0].content[0]",
    ],
    [{ system: [{ type: "image" }] }, "invalid_request system[0]"],
    [{ stop_sequences: "END" }, "ok"],
    [{ stop_sequences: [1] }, "invalid_request stop_sequences[0]"],
    [{ thinking: { type: "maybe" } }, "invalid_request thinking.type"],
    [{ tools: [{ name: "a" }] }, "invalid_request tools[0].input_schema"],
    [{ tools: [TOOL], tool_choice: { type: "tool", name: "b" } }, "invalid_request tool_choice"],
    [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, "not_implemented tools[0].type"],
    [{ mcp_servers: [{ url: "x" }] }, "not_implemented mcp_servers"],
    [{ mcp_servers: [] }, "ok"],
  ];
  for (const [more, refused] of cases) expect(refusal(readMessages, { ...LEAST, ...more })).toBe(refused);
});
