import { describe, expect, test } from "bun:test";
import { bodyOf, refusal } from "../../../test/support/answers.ts";
import { GatewayError } from "../../errors/errors.ts";
import { errorFacts } from "../error-facts.ts";
import type { ChatPrompt, GenerationRequest } from "../generation.ts";
import { anthropicDialect } from "./dialect.ts";
import { countTokensAnswer, readCountTokens, readMessages } from "./messages-request.ts";

const LEAST = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
const TOOL = { name: "add", description: "adds", input_schema: { type: "object" } };

function thrownBy(action: () => unknown): GatewayError {
  try {
    action();
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

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

  test("begins without the line that coding agents change with every request", () => {
    const line = (hash: string) => `x-anthropic-billing-header: cc_version=2.1.177; cc_entrypoint=cli; cch=${hash};`;
    const text = (value: string) => ({ type: "text", text: value });
    const system = (value: unknown) => prompt({ system: value }).messages[0]?.["content"];
    expect(system([text(line("36ee5")), text("be kind")])).toEqual([text("be kind")]);
    expect(system([text(`${line("36ee5")}\nbe kind`), text("and short")])).toEqual([
      text("be kind"),
      text("and short"),
    ]);
    expect(system(`${line("36ee5")}\nbe kind`)).toBe("be kind");
    expect(prompt({ system: line("36ee5") }).messages).toEqual(LEAST.messages);
    expect(prompt({ system: [text(line("36ee5"))] }).messages).toEqual(LEAST.messages);
    // The line in other messages is the author's text and stays.
    expect(prompt({ messages: [{ role: "user", content: line("1") }] }).messages[0]).toEqual({
      role: "user",
      content: line("1"),
    });
    expect(system(`what is ${line("1")}`)).toBe(`what is ${line("1")}`);
  });

  test("takes a document that is text for what it says", () => {
    const document = (source: object, more: object = {}) => ({ type: "document", source, ...more });
    const plain = document({ type: "text", media_type: "text/plain", data: "the sky is blue" });
    const titled = document(
      {
        type: "content",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      { title: "Notes", context: "of mine", citations: { enabled: true } },
    );
    const result = { type: "tool_result", tool_use_id: "t", content: [plain, { type: "text", text: "x" }] };
    expect(
      prompt({
        messages: [
          { role: "user", content: [plain, titled] },
          { role: "user", content: [result] },
        ],
      }).messages,
    ).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "the sky is blue" },
          { type: "text", text: "Notes\nof mine\na\nb" },
        ],
      },
      {
        role: "tool",
        tool_call_id: "t",
        content: [
          { type: "text", text: "the sky is blue" },
          { type: "text", text: "x" },
        ],
      },
    ]);
    const pdf = document({ type: "base64", media_type: "application/pdf", data: "" });
    const refused = { ...LEAST, messages: [{ role: "user", content: [pdf] }] };
    expect(refusal(readMessages, refused)).toBe("invalid_request messages[0].content[0]");
  });

  test("takes a search result for what was found, beside text and as the result of a tool", () => {
    const text = (found: string) => ({ type: "text", text: found });
    const result = {
      type: "search_result",
      title: "Trains",
      source: "https://example.org/trains",
      content: [text("a"), text("b")],
      citations: { enabled: true },
    };
    const read = { type: "text" as const, text: "Trains\nhttps://example.org/trains\na\nb" };
    const messages = [
      { role: "user", content: [result, text("x")] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: [result] }] },
    ];
    expect(prompt({ messages }).messages).toEqual([
      { role: "user", content: [read, text("x")] },
      { role: "tool", tool_call_id: "t", content: [read] },
    ]);
    for (const [wrong, path] of [
      [{ ...result, content: "a" }, "content"],
      [{ ...result, title: 1 }, "title"],
      [{ ...result, source: undefined }, "source"],
      [{ ...result, content: [{ type: "image" }] }, "content[0]"],
    ] as const) {
      const refused = { ...LEAST, messages: [{ role: "user", content: [wrong] }] };
      expect(refusal(readMessages, refused)).toBe(`invalid_request messages[0].content[0].${path}`);
    }
  });

  test("of a thread is refused in the words that the SDK goes on from", () => {
    for (const thread of [{ type: "create" }, { type: "continue", previous_message_id: "msg_1" }]) {
      for (const reader of [readMessages, readCountTokens]) {
        const error = thrownBy(() => reader(bodyOf({ ...LEAST, thread })));
        expect(anthropicDialect.errorBody(errorFacts(error, "r1"))).toMatchObject({
          error: {
            type: "invalid_request_error",
            param: "thread",
            details: { error_code: "thread_unsupported_request", unsupported: ["thread"] },
          },
        });
        expect(error.status).toBe(400);
      }
    }
    expect(() => read({ thread: null })).not.toThrow();
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
  expect(prompt({ tools }).tools).toMatchObject([{ name: "add", description: "adds", parameters: { type: "object" } }]);
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
