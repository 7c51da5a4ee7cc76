import { describe, expect, test } from "bun:test";
import { bodyOf } from "../../test/support/answers.ts";
import { readMessages } from "./anthropic/messages-request.ts";
import { type ChatForm, OWN_FORM } from "./chat-form.ts";
import type { ApiRequest, ChatPrompt } from "./generation.ts";
import { readChat } from "./openai/chat-request.ts";
import { readResponses } from "./openai/responses-request.ts";

function chatOf({ generation }: ApiRequest): ChatPrompt {
  const [prompt] = generation.prompts;
  if (prompt?.kind !== "chat") throw new Error("no conversation");
  return prompt.chat;
}

const USER = { role: "user", content: "hi" };

function messages(more: object, form: Partial<ChatForm>): ChatPrompt {
  const body = bodyOf({ model: "m", max_tokens: 1, messages: [USER], ...more });
  return chatOf(readMessages(body, { ...OWN_FORM, ...form }));
}

test("a form that tells of every tool does so whatever may be called, in each API", () => {
  const form = { ...OWN_FORM, tellsEveryTool: true };
  const named = (name: string): object => ({ type: "function", function: { name } });
  const chat = { model: "m", messages: [USER], tools: [named("a"), named("b")] };
  const names = (request: ApiRequest): unknown => chatOf(request).tools?.map(({ name }) => name);
  for (const choice of ["none", "auto", named("b")]) {
    expect(names(readChat(bodyOf({ ...chat, tool_choice: choice }), form))).toEqual(["a", "b"]);
  }
  expect(names(readChat(bodyOf({ ...chat, tool_choice: named("b") })))).toEqual(["b"]);
  expect(names(readChat(bodyOf({ model: "m", messages: [USER] }), form))).toBeUndefined();
  const tools = [
    { name: "a", input_schema: {} },
    { name: "b", input_schema: {} },
  ];
  expect(messages({ tools, tool_choice: { type: "none" } }, form).tools).toHaveLength(2);
  const flat = [{ type: "function", name: "a" }];
  expect(names(readResponses(bodyOf({ model: "m", input: "x", tools: flat, tool_choice: "none" }), form))).toEqual([
    "a",
  ]);
});

describe("Messages", () => {
  const system = [
    { type: "text", text: "one" },
    { type: "text", text: "two" },
  ];

  test("have their system prompt in parts, or in one text", () => {
    expect(messages({ system }, {}).messages[0]?.["content"]).toEqual(system);
    expect(messages({ system }, { systemSeparator: "" }).messages[0]?.["content"]).toBe("onetwo");
  });

  test("have the results of tools where they stand, or before the text", () => {
    const content = [
      { type: "text", text: "before" },
      { type: "tool_result", tool_use_id: "t", content: "r" },
      { type: "text", text: "after" },
    ];
    const roles = (form: Partial<ChatForm>): unknown =>
      messages({ messages: [{ role: "user", content }] }, form).messages.map(({ role }) => role);
    expect(roles({})).toEqual(["user", "tool", "user"]);
    expect(roles({ putsResultsFirst: true })).toEqual(["tool", "user"]);
  });

  test("go on with the assistant's last message, or begin a new one", () => {
    const begun = { messages: [USER, { role: "assistant", content: "The" }] };
    const goesOn = (form: Partial<ChatForm>): unknown => {
      const { continueFinalMessage, addGenerationPrompt } = messages(begun, form);
      return [continueFinalMessage, addGenerationPrompt];
    };
    expect(goesOn({})).toEqual([true, false]);
    expect(goesOn({ continuesAnswer: false })).toEqual([false, true]);
  });
});
