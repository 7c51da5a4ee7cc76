import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, jsonSchema, Output, streamText, tool, type ToolSet } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";

let engine: SimulatedEngine;
let gateway: TestGateway;

beforeAll(async () => {
  engine = await startEngine();
  gateway = await startGateway({ workers: [engine.url] });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
});

describe("the Vercel AI SDK", () => {
  const model = (): ReturnType<ReturnType<typeof createOpenAICompatible>> =>
    createOpenAICompatible({ name: "pointsman", baseURL: `${gateway.url}/v1` })("sim-1");

  test("text, whole and streamed", async () => {
    const whole = await generateText({ model: model(), prompt: "Tell me of trains." });
    const streamed = streamText({ model: model(), prompt: "Tell me of trains." });
    let text = "";
    for await (const part of streamed.textStream) text += part;
    expect(text).toBe(whole.text);
    expect(text.length).toBeGreaterThan(0);
  });

  test("tools", async () => {
    const inputSchema = jsonSchema<{ place: string }>({ type: "object", properties: { place: { type: "string" } } });
    // The SDK's own types do not hold under exactOptionalPropertyTypes.
    const tools = { get_weather: tool({ description: "weather", inputSchema }) } as unknown as ToolSet;
    const { toolCalls } = await generateText({ model: model(), prompt: "use get_weather", tools });
    expect(toolCalls.map(({ toolName, input }) => [toolName, input])).toEqual([
      ["get_weather", { place: "Crewe Junction" }],
    ]);
  });
});

describe("objects of the Vercel AI SDK", () => {
  const model = (): ReturnType<ReturnType<typeof createOpenAICompatible>> =>
    createOpenAICompatible({ name: "pointsman", baseURL: `${gateway.url}/v1`, supportsStructuredOutputs: true })(
      "sim-1",
    );
  const schema = jsonSchema<{ place: string; count: number }>({
    type: "object",
    properties: { place: { type: "string" }, count: { type: "integer", minimum: 4 } },
    required: ["place", "count"],
  });

  test("whole and streamed", async () => {
    const ask = { model: model(), prompt: "Tell me of trains.", output: Output.object({ schema }) };
    const whole = await generateText(ask);
    expect(whole.output).toEqual({ place: "Crewe Junction", count: 4 });
    const streamed = streamText(ask);
    let text = "";
    for await (const part of streamed.textStream) text += part;
    expect(JSON.parse(text)).toEqual(whole.output);
    expect(await streamed.output).toEqual(whole.output);
  });
});

describe("the Anthropic SDK", () => {
  const client = (): Anthropic => new Anthropic({ baseURL: gateway.url, apiKey: "x", maxRetries: 0 });
  const ask = { model: "sim-1", max_tokens: 12, messages: [{ role: "user" as const, content: "Tell me" }] };

  test("messages, whole and streamed", async () => {
    const whole = await client().messages.create(ask);
    const streamed = await client().messages.stream(ask).finalMessage();
    expect(JSON.stringify(streamed.content)).toBe(JSON.stringify(whole.content));
    expect([streamed.stop_reason, streamed.usage.output_tokens]).toEqual([
      whole.stop_reason,
      whole.usage.output_tokens,
    ]);
  });

  test("tool use and counting", async () => {
    const tools = [{ name: "get_weather", input_schema: { type: "object" as const } }];
    const answer = await client().messages.create({
      ...ask,
      tools,
      messages: [{ role: "user", content: "use get_weather" }],
    });
    expect(answer.content[0]?.type).toBe("tool_use");
    expect((await client().messages.countTokens(ask)).input_tokens).toBeGreaterThan(0);
  });

  test("a tool's input is one of its schema, and text one of the format that is asked for", async () => {
    const schema = {
      type: "object" as const,
      properties: { count: { type: "integer", minimum: 3 } },
      required: ["count"],
    };
    const tools = [{ name: "count_trains", input_schema: schema }];
    const forced = { ...ask, tools, tool_choice: { type: "any" as const } };
    const whole = await client().messages.create(forced);
    const streamed = await client().messages.stream(forced).finalMessage();
    for (const { content, stop_reason: reason } of [whole, streamed]) {
      expect(content).toMatchObject([
        { type: "tool_use", name: "count_trains", input: { count: 3 }, caller: { type: "direct" } },
      ]);
      expect(reason).toBe("tool_use");
    }
    const bound = await client().messages.create({
      ...ask,
      max_tokens: 100,
      output_config: { format: { type: "json_schema", schema } },
    });
    expect(bound.content).toEqual([{ type: "text", text: '{"count":3}', citations: null }]);
    expect(bound.usage).toMatchObject({ cache_creation: null, inference_geo: null, server_tool_use: null });
    const free = await client().messages.create({ ...ask, tools, tool_choice: { type: "auto" } });
    expect(free.content[0]?.type).toBe("text");
  });

  test("errors with their request id, and a stream that breaks is an error", async () => {
    try {
      await client().messages.create({ ...ask, model: "claude-9" });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(Anthropic.NotFoundError);
      expect(error instanceof Anthropic.APIError && error.requestID).toBeTruthy();
    }
    const start = 'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n';
    const block =
      'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n';
    let sent = start + block;
    await using cut = await startEngine({
      respond: () => new Response(sent, { headers: { "content-type": "text/event-stream" } }),
    });
    await using other = await startGateway({ workers: [cut.url] });
    const here = new Anthropic({ baseURL: other.url, apiKey: "x", maxRetries: 0 });
    const stream = await here.messages.create({ ...ask, stream: true });
    const read = async (): Promise<void> => {
      for await (const event of stream) expect(event.type).toBeOneOf(["message_start", "content_block_start"]);
    };
    const broke: unknown = await read().catch((error: unknown) => error);
    expect(String(broke)).toContain("ended before the answer was whole");
    // Nothing of the answer has come, so its error is a status.
    sent = start;
    const broken: unknown = await here.messages.create({ ...ask, stream: true }).catch((error: unknown) => error);
    expect(broken).toBeInstanceOf(Anthropic.InternalServerError);
  });
});
