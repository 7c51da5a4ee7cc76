import { describe, expect, test } from "bun:test";
import { bodyOf, refusal } from "../../../test/support/answers.ts";
import type { ChatPrompt, GenerationRequest } from "../generation.ts";
import { readChat } from "./chat-request.ts";

const MESSAGES = [{ role: "user", content: "hi" }];
const TOOL = { type: "function", function: { name: "add", parameters: { type: "object" } } };
const OTHER = { type: "function", function: { name: "sub", description: "takes away", strict: true } };

function read(more: object = {}): GenerationRequest {
  return readChat(bodyOf({ model: "m", messages: MESSAGES, ...more })).generation;
}

function prompt(more: object = {}): ChatPrompt {
  const [first] = read(more).prompts;
  if (first?.kind !== "chat") throw new Error("not a conversation");
  return first.chat;
}

function schemaOf(more: object): unknown {
  const { constraint } = read(more);
  return constraint?.kind === "json_schema" ? JSON.parse(constraint.schema) : constraint;
}

test("a request that says little has the API's defaults", () => {
  expect(read()).toMatchObject({
    n: 1,
    stop: [],
    stopTokenIds: [],
    includeStop: false,
    ignoreEos: false,
    skipSpecialTokens: true,
    echo: false,
    toolChoice: { kind: "none" },
    parallelToolCalls: true,
    separateReasoning: true,
  });
  expect(read().maxTokens).toBeUndefined();
  expect(read().logprobs).toBeUndefined();
  expect(Object.values(read().sampling)).toEqual(Array.from({ length: 9 }, () => undefined));
  expect(prompt()).toMatchObject({ messages: MESSAGES, addGenerationPrompt: true, continueFinalMessage: false });
});

test("members of OpenAI, vLLM and SGLang are taken", () => {
  const request = read({
    temperature: 0.5,
    top_p: 0.9,
    top_k: 0,
    min_p: 0.1,
    frequency_penalty: 1,
    presence_penalty: -1,
    repetition_penalty: 1.1,
    seed: 2 ** 31 + 7,
    logit_bias: { 42: -100 },
    max_tokens: 5,
    max_completion_tokens: 6,
    min_tokens: 2,
    stop: "END",
    stop_token_ids: [1, 2],
    include_stop_str_in_output: true,
    ignore_eos: true,
    skip_special_tokens: false,
    logprobs: true,
    top_logprobs: 3,
    prompt_logprobs: 2,
    parallel_tool_calls: false,
    separate_reasoning: false,
    priority: -3,
    lora_path: "adapter",
    n: 2,
  });
  expect(request.sampling).toEqual({
    temperature: 0.5,
    topP: 0.9,
    topK: -1,
    minP: 0.1,
    frequencyPenalty: 1,
    presencePenalty: -1,
    repetitionPenalty: 1.1,
    seed: 7,
    logitBias: new Map([[42, -100]]),
  });
  expect(request).toMatchObject({
    n: 2,
    maxTokens: 6,
    minTokens: 2,
    stop: ["END"],
    stopTokenIds: [1, 2],
    includeStop: true,
    ignoreEos: true,
    skipSpecialTokens: false,
    logprobs: { top: 3 },
    promptLogprobs: { top: 2, from: 0 },
    parallelToolCalls: false,
    separateReasoning: false,
    priority: -3,
    loraId: "adapter",
  });
});

test("members that are null count as absent", () => {
  const names = [
    "temperature",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "logit_bias",
    "max_tokens",
    "stream_options",
  ];
  expect(read(Object.fromEntries(names.map((name) => [name, null])))).toEqual(read());
});

describe("the conversation", () => {
  test("keeps text parts, and refuses all others with their path", () => {
    const content = [
      { type: "text", text: "a" },
      { type: "text", text: "b" },
    ];
    expect(prompt({ messages: [{ role: "user", content }] }).messages).toEqual([{ role: "user", content }]);
    const image = { role: "user", content: [content[0], { type: "image_url", image_url: { url: "data:" } }] };
    expect(refusal(readChat, { messages: [image] })).toBe("invalid_request messages[0].content[1]");
    expect(() => read({ messages: [image] })).toThrow("image_url");
  });

  test("takes text parts under the names of the Responses API", () => {
    const content = [
      { type: "input_text", text: "a" },
      { type: "output_text", text: "b", annotations: [] },
    ];
    expect(prompt({ messages: [{ role: "user", content }] }).messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
    ]);
  });

  test("takes a tool's result that is missing for an empty one, and needs the content of others", () => {
    for (const message of [
      { role: "tool", content: null, tool_call_id: "c" },
      { role: "function", name: "f" },
    ]) {
      expect(prompt({ messages: [message] }).messages).toMatchObject([{ role: "tool", content: "" }]);
    }
    for (const role of ["user", "system", "developer"]) {
      expect(refusal(readChat, { messages: [{ role, content: null }] })).toBe("invalid_request messages[0].content");
    }
  });

  test("has the names of roles that templates know", () => {
    const messages = [
      { role: "developer", content: "be kind" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c", type: "function", function: { name: "add", arguments: "{}" } }],
      },
      { role: "tool", content: "3", tool_call_id: "c" },
      { role: "assistant", content: "3", tool_calls: [], reasoning_content: "easy", refusal: null },
    ];
    expect(prompt({ messages }).messages).toEqual([
      { ...messages[0] },
      { ...messages[1] },
      { ...messages[2] },
      { role: "assistant", content: "3", reasoning_content: "easy" },
    ] as never);
  });

  test("is refused where the arguments of a former call are no object", () => {
    const conversation = (args: unknown, more: object = {}) => ({
      messages: [
        { role: "user", content: "x" },
        { role: "assistant", tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: args } }] },
        ...[more].filter((message) => Object.keys(message).length > 0),
      ],
    });
    const path = "invalid_request messages[1].tool_calls[0].function.arguments";
    for (const args of ['{"x": 1', "[1]", '"a"', "1", "{'x': 1}", 7, [1]]) {
      expect({ args, refusal: refusal(readChat, conversation(args)) }).toEqual({ args, refusal: path });
    }
    expect(() => read(conversation('{"x": 1'))).toThrow(
      "messages[1].tool_calls[0].function.arguments must be the JSON text of an object",
    );
    for (const args of ["", " ", "null", null, {}, "{}"]) expect(() => read(conversation(args))).not.toThrow();
    const deprecated = { role: "assistant", content: null, function_call: { name: "f", arguments: "{" } };
    expect(refusal(readChat, conversation("{}", deprecated))).toBe(
      "invalid_request messages[2].function_call.arguments",
    );
  });

  test("has calls in the one shape where they are in the one of before", () => {
    const messages = [
      { role: "assistant", content: null, function_call: { name: "add", arguments: "{}" } },
      { role: "function", name: "add", content: "3" },
    ];
    expect(prompt({ messages }).messages).toEqual([
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "add", type: "function", function: { name: "add", arguments: "{}" } }],
      },
      { role: "tool", name: "add", content: "3" },
    ]);
  });

  test("is gone on with where that is asked for", () => {
    expect(prompt({ continue_final_message: true })).toMatchObject({
      continueFinalMessage: true,
      addGenerationPrompt: false,
    });
    expect(prompt({ add_generation_prompt: false })).toMatchObject({
      continueFinalMessage: false,
      addGenerationPrompt: false,
    });
  });

  test("goes with what the template is told", () => {
    expect(prompt({ reasoning_effort: "high" }).kwargs).toEqual({ reasoning_effort: "high" });
    expect(prompt({ reasoning_effort: "none", chat_template_kwargs: { thinking: true, x: 1 } }).kwargs).toEqual({
      reasoning_effort: "none",
      enable_thinking: false,
      thinking: true,
      x: 1,
    });
    expect(prompt({ documents: [{ title: "t" }] }).documents).toEqual([{ title: "t" }]);
  });
});

describe("tools", () => {
  const tools = [TOOL, OTHER];
  const specs = [
    { name: "add", description: undefined, parameters: { type: "object" }, written: TOOL.function, beside: {} },
    { name: "sub", description: "takes away", parameters: undefined, written: OTHER.function, beside: {} },
  ];

  test("are offered unless the choice is none", () => {
    expect(prompt({ tools }).tools).toEqual(specs);
    expect(read({ tools }).toolChoice).toEqual({ kind: "auto" });
    expect(prompt({ tools, tool_choice: "none" }).tools).toBeUndefined();
    expect(read({ tools, tool_choice: "none" }).toolChoice).toEqual({ kind: "none" });
    expect(read({ tools }).constraint).toBeUndefined();
  });

  test("one that must be called makes the text its arguments", () => {
    const more = { tools, tool_choice: { type: "function", function: { name: "sub" } } };
    expect(read(more).toolChoice).toEqual({ kind: "function", name: "sub", form: "json_arguments" });
    expect(schemaOf(more)).toEqual({ type: "object", properties: {} });
    expect(prompt(more).tools?.map(({ name }) => name)).toEqual(["sub"]);
  });

  test("of which one must be called make the text a list of calls", () => {
    const more = { tools, tool_choice: "required" };
    expect(read(more).toolChoice).toEqual({ kind: "required", form: "json_calls" });
    const call = (name: string, parameters: object): object => ({
      properties: { name: { type: "string", enum: [name] }, parameters },
      required: ["name", "parameters"],
    });
    expect(schemaOf(more)).toEqual({
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        anyOf: [call("add", { type: "object" }), call("sub", { type: "object", properties: {} })],
      },
    });
    expect(schemaOf({ ...more, parallel_tool_calls: false })).toMatchObject({ maxItems: 1 });
  });

  test("keep the references of their schemas", () => {
    const parameters = {
      $defs: { P: { type: "number" } },
      properties: { x: { $ref: "#/$defs/P" }, self: { $ref: "#" } },
    };
    const tool = { type: "function", function: { name: "f", parameters } };
    expect(schemaOf({ tools: [TOOL, tool], tool_choice: "required" })).toMatchObject({
      items: {
        anyOf: [
          {},
          {
            properties: {
              parameters: {
                properties: {
                  x: { $ref: "#/items/anyOf/1/properties/parameters/$defs/P" },
                  self: { $ref: "#/items/anyOf/1/properties/parameters" },
                },
              },
            },
          },
        ],
      },
    });
  });

  test("may be some of those that are declared", () => {
    const allowed = (mode: string): object => ({
      tools,
      tool_choice: {
        type: "allowed_tools",
        allowed_tools: { mode, tools: [{ type: "function", function: { name: "sub" } }] },
      },
    });
    expect(prompt(allowed("auto")).tools?.map(({ name }) => name)).toEqual(["sub"]);
    expect(read(allowed("auto")).toolChoice).toEqual({ kind: "auto" });
    expect(read(allowed("required")).toolChoice).toEqual({ kind: "required", form: "json_calls" });
  });

  test("may be functions as they were before", () => {
    const more = { functions: [{ name: "add", parameters: { type: "object" } }], function_call: { name: "add" } };
    expect(read(more).toolChoice).toMatchObject({ kind: "function", name: "add" });
  });

  test("that must be called come before a format of the text", () => {
    const format = { response_format: { type: "json_object" } };
    expect(read({ ...format, tools }).constraint).toEqual({ kind: "json_object" });
    expect(schemaOf({ ...format, tools, tool_choice: "required" })).toMatchObject({ type: "array" });
  });
});

test("one constraint, in any of the ways to say it", () => {
  const schema = { type: "object", properties: { b: {}, a: {} } };
  const json = { kind: "json_schema", schema: JSON.stringify(schema) };
  const cases: [more: object, constraint: unknown][] = [
    [{ response_format: { type: "text" } }, undefined],
    [{ response_format: { type: "json_object" } }, { kind: "json_object" }],
    [{ response_format: { type: "json_schema", json_schema: { name: "x", schema } } }, json],
    [{ guided_json: schema }, json],
    [{ guided_json: JSON.stringify(schema) }, json],
    [{ structured_outputs: { json: schema } }, json],
    [{ structured_outputs: { choice: ["a", "b"] } }, { kind: "choice", choices: ["a", "b"] }],
    [{ guided_choice: ["a", "b"] }, { kind: "choice", choices: ["a", "b"] }],
    [{ guided_regex: "a+" }, { kind: "regex", pattern: "a+" }],
    [{ regex: "a+" }, { kind: "regex", pattern: "a+" }],
    [{ ebnf: "root ::= x" }, { kind: "ebnf", grammar: "root ::= x" }],
    [{ guided_grammar: "root ::= x" }, { kind: "ebnf", grammar: "root ::= x" }],
    [
      { response_format: { type: "structural_tag", format: { a: 1 } } },
      { kind: "structural_tag", tag: '{"type":"structural_tag","format":{"a":1}}' },
    ],
  ];
  for (const [more, constraint] of cases) expect(read(more).constraint).toEqual(constraint as never);
});

test("what is wrong is named by its path", () => {
  const tools = [TOOL];
  const cases: [more: object, param: string][] = [
    [{ messages: undefined }, "messages"],
    [{ messages: [] }, "messages"],
    [{ messages: ["x"] }, "messages[0]"],
    [{ messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
    [{ messages: [...MESSAGES, { role: "user" }] }, "messages[1].content"],
    [{ messages: [{ role: "user", content: 1 }] }, "messages[0].content"],
    [{ messages: [{ role: "user", content: [{ type: "text" }] }] }, "messages[0].content[0].text"],
    [{ messages: [{ role: "assistant", tool_calls: [{ function: {} }] }] }, "messages[0].tool_calls[0].function.name"],
    [{ temperature: 2.5 }, "temperature"],
    [{ temperature: "1" }, "temperature"],
    [{ top_p: 0 }, "top_p"],
    [{ top_k: -2 }, "top_k"],
    [{ n: 0 }, "n"],
    [{ n: 1.5 }, "n"],
    [{ frequency_penalty: 3 }, "frequency_penalty"],
    [{ repetition_penalty: 0 }, "repetition_penalty"],
    [{ seed: 0.5 }, "seed"],
    [{ logit_bias: { x: 1 } }, "logit_bias.x"],
    [{ logit_bias: { 1: 101 } }, "logit_bias.1"],
    [{ max_tokens: 0 }, "max_tokens"],
    [{ max_completion_tokens: "9" }, "max_completion_tokens"],
    [{ stop: [""] }, "stop"],
    [{ stop: "s".repeat(70_000) }, "stop"],
    [{ stop: Array.from({ length: 4000 }, (_, index) => `${index}`.padEnd(20, "s")) }, "stop"],
    [{ logit_bias: Object.fromEntries(Array.from({ length: 20_000 }, (_, id) => [id, 1])) }, "logit_bias"],
    [{ stop: [1] }, "stop[0]"],
    [{ stop_token_ids: [-1] }, "stop_token_ids"],
    [{ logprobs: 5 }, "logprobs"],
    [{ top_logprobs: 2 }, "top_logprobs"],
    [{ logprobs: true, top_logprobs: 21 }, "top_logprobs"],
    [{ stream_options: { include_usage: true } }, "stream_options"],
    [{ stream: true, stream_options: { include_usage: 1 } }, "stream_options.include_usage"],
    [{ stream: true, prompt_logprobs: 1 }, "prompt_logprobs"],
    [{ stream: "yes" }, "stream"],
    [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
    [{ tools: [{ type: "function", function: {} }] }, "tools[0].function.name"],
    [{ tools: [TOOL, TOOL] }, "tools[1]"],
    [{ tools, tool_choice: "always" }, "tool_choice"],
    [{ tools, tool_choice: { type: "function", function: { name: "mul" } } }, "tool_choice"],
    [{ tool_choice: "required" }, "tool_choice"],
    [
      { tools, tool_choice: { type: "allowed_tools", allowed_tools: { tools: [] } } },
      "tool_choice.allowed_tools.tools",
    ],
    [{ response_format: { type: "xml" } }, "response_format.type"],
    [{ response_format: { type: "json_schema" } }, "response_format.json_schema"],
    [{ response_format: { type: "json_schema", json_schema: { name: "x" } } }, "response_format.json_schema.schema"],
    [{ guided_json: "no" }, "guided_json"],
    [{ regex: "a", ebnf: "b" }, "ebnf"],
    [{ response_format: { type: "json_object" }, structured_outputs: { regex: "a" } }, "structured_outputs.regex"],
    [{ continue_final_message: true, add_generation_prompt: true }, "continue_final_message"],
    [{ chat_template_kwargs: [] }, "chat_template_kwargs"],
    [{ lora_path: ["a"] }, "lora_path"],
  ];
  for (const [more, param] of cases)
    expect(refusal(readChat, { messages: MESSAGES, ...more })).toBe(`invalid_request ${param}`);
});

test("what engines that speak tokens have no place for is refused as not built", () => {
  const cases: [more: object, param: string][] = [
    [{ modalities: ["text", "audio"] }, "modalities"],
    [{ web_search_options: {} }, "web_search_options"],
    [{ chat_template: "{{ x }}" }, "chat_template"],
    [{ use_beam_search: true }, "use_beam_search"],
    [{ tools: [{ type: "custom", custom: { name: "sql" } }] }, "tools[0].type"],
  ];
  for (const [more, param] of cases)
    expect(refusal(readChat, { messages: MESSAGES, ...more })).toBe(`not_implemented ${param}`);
  expect(refusal(readChat, { messages: MESSAGES, use_beam_search: false, bad_words: [], modalities: ["text"] })).toBe(
    "ok",
  );
});
