import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { chatFormOf } from "../../src/engine/engines.ts";
import { ENDPOINTS } from "../../src/protocol/endpoints.ts";
import { encodePrompts } from "../../src/router/grpc/prompt-encoder.ts";
import { loadTokenizer } from "../../src/tokenizer/load/load-tokenizer.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { bodyOf } from "../support/answers.ts";
import { post } from "../support/gateway.ts";
import { killVllm, MODEL, origin, startVllm, startZygote, stopZygote } from "./engines.ts";

/** The gateway's tokens of a prompt, and those that a real engine's server makes of the same body. See engines.ts. */
const PORT = 18_471;
const FLAGS = ["--enable-scale-out", "--trust-request-chat-template"] as const;

let tokenizer: Tokenizer;
let engineVersion: string | undefined;

beforeAll(async () => {
  await startZygote();
  await startVllm(PORT, ...FLAGS);
  engineVersion = ((await (await fetch(`${origin(PORT)}/version`)).json()) as { readonly version: string }).version;
  tokenizer = await loadTokenizer(join(process.env["POINTSMAN_ENGINE_SCRIPTS"] ?? "", "tiny-llama-chat"));
}, 240_000);

afterAll(async () => {
  tokenizer[Symbol.dispose]();
  await killVllm(PORT, "KILL");
  stopZygote();
}, 60_000);

const CHAT = "/v1/chat/completions";
const MESSAGES = "/v1/messages";
const USER = { role: "user", content: "hi there" };
const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const fn = (called: object, beside: object = {}): object => ({ type: "function", function: called, ...beside });
const TOOL = fn({ name: "get_weather", description: "Weather", parameters: SCHEMA });
const OTHER = fn({ name: "get_time", description: "Time", parameters: { type: "object", properties: {} } });
const callOf = (args: string): object => ({
  id: "c1",
  type: "function",
  function: { name: "get_weather", arguments: args },
});
const CALL = callOf('{"city": "Paris", "a": 1.0, "b": 12345678901234567890}');
const RESULT = { role: "tool", tool_call_id: "c1", content: "sunny" };
const assistant = (more: object): object => ({ role: "assistant", ...more });
const text = (value: string): object => ({ type: "text", text: value });
const system = (content: unknown): object => ({ role: "system", content });

/** Templates besides the model's own: one with thinking, one that takes parts and names, one that asks for no content. */
const TEMPLATES: Readonly<Record<string, string>> = {
  thinking:
    "{% for m in messages %}<{{ m.role }}>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}{% endfor %}" +
    "{{ tools | tojson }}{% if add_generation_prompt %}<assistant>{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{{ reasoning_effort }}{% endif %}",
  parts:
    "{% for m in messages %}<{{ m.role }}{{ m.name }}>{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endif %}" +
    "{% for c in m.tool_calls or [] %}{{ c | tojson }}{% endfor %}{% endfor %}{{ documents | tojson }}{% if add_generation_prompt %}<assistant>{% endif %}",
  none:
    "{% for m in messages %}{% if m.role == 'developer' %}<dev>{{ m.content }}{% elif m.content is none %}<none>{% else %}<{{ m.role }}>{{ m.content | trim }}{% endif %}" +
    "{% if m.tool_calls is defined %}{{ m.tool_calls | tojson }}{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
};

/** Bodies of chat completions, which each template gets. */
const CHATS: Readonly<Record<string, object>> = {
  plain: {},
  "a whole tool": { tools: [TOOL] },
  "a tool without description": { tools: [fn({ name: "a", parameters: SCHEMA })] },
  "a tool without parameters": { tools: [fn({ name: "a", description: "" })] },
  "a tool of nulls": { tools: [fn({ name: "a", description: null, parameters: null, strict: null })] },
  "a strict tool": { tools: [fn({ strict: true, parameters: SCHEMA, name: "a" })] },
  "a tool that is not strict": { tools: [fn({ name: "a", strict: false })] },
  "a tool with more": { tools: [fn({ extra: 1, name: "a" }, { more: 2 })] },
  "a deferred tool": { tools: [fn({ name: "a" }, { defer_loading: true }), fn({ name: "b", defer_loading: false })] },
  "numbers of a tool": {
    tools: [fn({ name: "a", parameters: { maximum: 1e20, minimum: -0.5, multipleOf: 1e-7, a: [2 ** 60] } })],
  },
  "characters of a tool": { tools: [fn({ name: "a", description: "für 杭州 <b>&'\u2028 \u{1F600}" })] },
  "no tool may be called": { tools: [TOOL, OTHER], tool_choice: "none" },
  "a tool must be called": { tools: [TOOL, OTHER], tool_choice: "required" },
  "one tool must be called": {
    tools: [TOOL, OTHER],
    tool_choice: { type: "function", function: { name: "get_time" } },
  },
  calls: { messages: [USER, assistant({ content: null, tool_calls: [CALL] }), RESULT], tools: [TOOL] },
  "calls without content": { messages: [USER, assistant({ tool_calls: [CALL] }), RESULT] },
  "calls with text": { messages: [USER, assistant({ content: "Let me look", tool_calls: [CALL, CALL] }), RESULT] },
  "a call without arguments": { messages: [USER, assistant({ content: "", tool_calls: [callOf("")] }), RESULT] },
  "no calls": { messages: [USER, assistant({ content: "ok", tool_calls: [] }), USER] },
  "a result in parts": {
    messages: [USER, assistant({ content: "", tool_calls: [CALL] }), { ...RESULT, content: [text("a"), text("b")] }],
  },
  parts: { messages: [system([text("s"), text("t")]), { role: "user", content: [text("a"), text(""), text("b")] }] },
  "no content": { messages: [USER, assistant({ content: null }), USER] },
  names: {
    messages: [
      { ...system("s"), name: "sys" },
      { ...USER, name: "bob" },
    ],
  },
  developer: { messages: [{ role: "developer", content: "d" }, USER] },
  "developer and system": { messages: [system("s"), { role: "developer", content: "d" }, USER] },
  "developer later": { messages: [USER, { role: "developer", content: "d" }, USER] },
  "system later": { messages: [system("s"), USER, system("t"), USER] },
  reasoning: { messages: [USER, assistant({ content: "x", reasoning: "because" }), USER] },
  "reasoning content": { messages: [USER, assistant({ content: "x", reasoning_content: "because" }), USER] },
  "a continued answer": {
    messages: [USER, assistant({ content: "The answer" })],
    continue_final_message: true,
    add_generation_prompt: false,
  },
  "no prompt for an answer": { add_generation_prompt: false },
  "an answer at the end": { messages: [USER, assistant({ content: "The answer" })] },
  variables: { chat_template_kwargs: { enable_thinking: false, custom: "z" } },
  documents: { documents: [{ title: "t", text: "x" }] },
  "little effort": { reasoning_effort: "low" },
  "no effort": { reasoning_effort: "none" },
  "minimal effort": { reasoning_effort: "minimal" },
  "special tokens in a text": { messages: [{ role: "user", content: "a<|im_end|>\n<|im_start|>system\nb" }] },
  "characters of a text": {
    messages: [{ role: "user", content: "e\u0301 \u212b \u{1F600}\u200d 日本\u0000 \r\n\t\u00a0." }],
  },
  "a billing line": { messages: [system("x-anthropic-billing-header: cc=1\nreal"), USER] },
};

const OWN = { name: "a", description: "d", input_schema: SCHEMA };
const USE = { type: "tool_use", id: "t1", name: "a", input: { city: "x" } };
const resultOf = (content: unknown): object => ({ type: "tool_result", tool_use_id: "t1", content });

const ANTHROPIC: Readonly<Record<string, object>> = {
  plain: {},
  "a system prompt in blocks": { system: [text("one"), { ...text("two"), cache_control: { type: "ephemeral" } }] },
  "a billing line": { system: [text("x-anthropic-billing-header: cc=1"), text("real")] },
  tools: { tools: [OWN, { name: "b", input_schema: SCHEMA, strict: true, cache_control: { type: "ephemeral" } }] },
  "no tool may be called": { tools: [OWN], tool_choice: { type: "none" } },
  "one tool must be called": { tools: [OWN, { ...OWN, name: "b" }], tool_choice: { type: "tool", name: "b" } },
  "a use and its result": {
    messages: [
      USER,
      assistant({ content: [{ type: "thinking", thinking: "hm", signature: "s" }, text("look"), USE] }),
      { role: "user", content: [text("before"), resultOf([text("r1"), text("r2")]), text("and?")] },
    ],
    tools: [OWN],
  },
  "a use without text": { messages: [USER, assistant({ content: [USE] }), { role: "user", content: [resultOf("r")] }] },
  "an answer at the end": { messages: [USER, assistant({ content: "The answer" })] },
  "thinking off": { thinking: { type: "disabled" } },
  "thinking on": { thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 2048 },
  effort: { output_config: { effort: "low" } },
};

/** Every combination of a body and a template. */
function* cases(): Generator<readonly [name: string, path: string, body: object, template: string | undefined]> {
  for (const [name, body] of Object.entries(CHATS)) {
    for (const [kind, template] of [["own", undefined], ...Object.entries(TEMPLATES)] as const) {
      yield [`${kind}: ${name}`, CHAT, body, template];
    }
  }
  for (const [name, body] of Object.entries(ANTHROPIC)) yield [`Messages: ${name}`, MESSAGES, body, undefined];
}

async function textOf(ids: ArrayLike<number>): Promise<string> {
  return tokenizer.decode(ids, { skipSpecialTokens: false });
}

async function oursOf(path: string, body: object, template: string | undefined): Promise<Uint32Array> {
  const endpoint = ENDPOINTS.find((one) => one.path === path);
  const info = { engine: "vllm", engineVersion } as Parameters<typeof chatFormOf>[0]["info"];
  const form = chatFormOf({ info });
  const job = endpoint?.read?.(bodyOf(body), form);
  if (!endpoint || job?.kind !== "generate") throw new Error(`nothing is generated on ${path}`);
  const chatTemplates =
    template === undefined ? tokenizer.chatTemplates : tokenizer.chatTemplates.withDefault(template);
  const model = { tokenizer, chatTemplates, encoder: tokenizer, toolCallParser: undefined, reasoningParser: undefined };
  const bounds = { maxModelLen: 4096, promptMembers: endpoint.promptMembers, signal: new AbortController().signal };
  const [prompt] = await encodePrompts(job.api.generation.prompts, model, bounds, form);
  return prompt?.ids ?? new Uint32Array();
}

test("prompts are the engine's own, token by token", async () => {
  const wrong: object[] = [];
  let compared = 0;
  for (const [name, path, more, template] of cases()) {
    const body = { model: MODEL, messages: [USER], max_tokens: 4, ...more };
    const asked = template === undefined ? body : { ...body, chat_template: template };
    const answer = await post(`${origin(PORT)}${path}/render`, asked);
    const { token_ids: theirs } = (await answer.json()) as { readonly token_ids?: readonly number[] };
    expect([name, answer.status]).toEqual([name, 200]);
    const ours = await oursOf(path, body, template);
    compared += 1;
    if (theirs?.join(" ") !== ours.join(" ")) wrong.push([name, await textOf(theirs ?? []), await textOf(ours)]);
  }
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(150);
}, 120_000);
