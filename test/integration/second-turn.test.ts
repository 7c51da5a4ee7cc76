import Anthropic from "@anthropic-ai/sdk";
import { expect, test } from "bun:test";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { TINY_MODEL, writeTinyModel } from "../support/tiny-model.ts";

/** As templates of many models are written: what a message says is added to its role, calls are JSON. */
const TEMPLATE = `{%- for tool in tools or [] %}{{ '<tool>' + (tool | tojson) }}{% endfor -%}
{%- for message in messages %}{{ '<' + message.role + '>' + message.content }}
{%- for call in message.tool_calls or [] %}{{ '[' + call.function.name + (call.function.arguments | tojson) + ']' }}{% endfor %}
{%- endfor -%}{%- if add_generation_prompt %}<assistant>{% endif %}`;

const ARGUMENTS = '{"a": 1.0, "b": 12345678901234567890, "c": 1e-05}';
const SCHEMA = '{"type": "object", "properties": {"a": {"type": "number", "minimum": 0.0}}}';

async function withWorker(
  run: (gateway: TestGateway, prompt: () => string) => Promise<void>,
  answer: (text: string) => string = () => "fine",
): Promise<void> {
  const tiny = await writeTinyModel(TEMPLATE);
  await using engine = await startGrpcEngine({
    kind: "vllm",
    model: TINY_MODEL,
    tokenizer: tiny.tokenizer,
    tokenizerPath: tiny.path,
    maxModelLen: 4096,
    answer: ({ text }) => answer(text),
  });
  await using gateway = await startGateway({ workers: [engine.url] });
  const asked = () => engine.records.findLast(({ method }) => method === "Generate");
  await run(gateway, () => tiny.tokenizer.decode(asked()?.promptIds ?? []));
}

/** Bodies as text, so that numbers go out as they stand. */
const SECOND_TURNS: readonly (readonly [path: string, body: string])[] = [
  [
    "/v1/chat/completions",
    `{"model": "${TINY_MODEL}", "max_tokens": 5,
      "tools": [{"type": "function", "function": {"name": "f", "parameters": ${SCHEMA}}}],
      "messages": [{"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
          "function": {"name": "f", "arguments": ${JSON.stringify(ARGUMENTS)}}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "sun"}]}]}`,
  ],
  [
    "/v1/messages",
    `{"model": "${TINY_MODEL}", "max_tokens": 5, "tools": [{"name": "f", "input_schema": ${SCHEMA}}],
      "messages": [{"role": "user", "content": "x"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": ${ARGUMENTS}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "sun"}]}]}`,
  ],
  [
    "/v1/responses",
    `{"model": "${TINY_MODEL}", "max_output_tokens": 5,
      "tools": [{"type": "function", "name": "f", "parameters": ${SCHEMA}}],
      "input": [{"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": ${JSON.stringify(ARGUMENTS)}},
        {"type": "function_call_output", "call_id": "c", "output": "sun"}]}`,
  ],
];

test("the turn after a call goes on over gRPC in every API, and numbers reach the prompt as they were written", async () => {
  await withWorker(async (gateway, prompt) => {
    for (const [path, body] of SECOND_TURNS) {
      const answer = await fetch(gateway.url + path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      expect({ path, status: answer.status }).toEqual({ path, status: 200 });
      await answer.text();
      const tool = `<tool>{"type": "function", "function": {"name": "f", "parameters": ${SCHEMA}}}`;
      expect({ path, prompt: prompt() }).toEqual({
        path,
        prompt: `${tool}<user>x<assistant>[f${ARGUMENTS}]<tool>sun<assistant>`,
      });
    }
  });
});

test("Anthropic's tool runner goes on without the threads that are not kept here", async () => {
  const run = async (gateway: TestGateway, prompt: () => string): Promise<void> => {
    const client = new Anthropic({ baseURL: gateway.url, apiKey: "x", maxRetries: 0 });
    const runner = client.beta.messages.toolRunner({
      model: TINY_MODEL,
      max_tokens: 100,
      messages: [{ role: "user", content: "go" }],
      tools: [
        {
          type: "custom",
          name: "f",
          input_schema: { type: "object", properties: {} },
          run: () => "it rains",
          parse: (value: unknown) => value,
        },
      ],
      max_iterations: 3,
    });
    const last = await runner.runUntilDone();
    expect(last.content).toMatchObject([{ type: "text", text: "done" }]);
    expect(prompt()).toContain("<user>go<assistant>[f{}]<tool>it rains<assistant>");
  };
  const call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>';
  await withWorker(run, (text) => (text.includes("it rains") ? "done" : call));
});
