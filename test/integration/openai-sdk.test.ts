import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { Secret } from "../../src/util/secret.ts";
import { startEngine } from "../support/engine.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";

let engines: SimulatedEngine[];
let gateway: TestGateway;
let client: OpenAI;

beforeAll(async () => {
  engines = [await startEngine(), await startEngine()];
  gateway = await startGateway({ workers: engines.map(({ url }) => url), config: { apiKey: new Secret("sk-right") } });
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "sk-right", maxRetries: 0 });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  for (const engine of engines) await engine.stop();
});

const messages = [{ role: "user" as const, content: "What is the weather like?" }];
const tools = [
  {
    type: "function" as const,
    function: { name: "get_weather", parameters: { type: "object", properties: { place: { type: "string" } } } },
  },
];

const Journey = z.object({
  from: z.string(),
  stops: z.array(z.object({ name: z.string(), minutes: z.int().min(3).nullable() })).min(2),
  kind: z.enum(["express", "local"]),
});
const JOURNEY: z.infer<typeof Journey> = {
  from: "Crewe Junction",
  stops: [
    { name: "Crewe Junction", minutes: 3 },
    { name: "Crewe Junction", minutes: 3 },
  ],
  kind: "express",
};

describe("the openai SDK", () => {
  test("a chat completion", async () => {
    const answer = await client.chat.completions.create({ model: "sim-1", messages });
    expect(answer.choices[0]?.message.content?.length).toBeGreaterThan(0);
    expect(answer.usage?.total_tokens).toBe(
      (answer.usage?.prompt_tokens ?? 0) + (answer.usage?.completion_tokens ?? 0),
    );
  });

  test("a stream says what the whole answer says, and its usage", async () => {
    const whole = await client.chat.completions.create({ model: "sim-1", messages });
    const stream = await client.chat.completions.create({
      model: "sim-1",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let tokens: number | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      tokens = chunk.usage?.completion_tokens ?? tokens;
    }
    expect(text).toBe(whole.choices[0]?.message.content ?? "");
    expect(tokens).toBe(whole.usage?.completion_tokens ?? -1);
  });

  test("tools, whole and streamed", async () => {
    const asked = [{ role: "user" as const, content: "use get_weather" }];
    const whole = await client.chat.completions.create({ model: "sim-1", messages: asked, tools });
    const [call] = whole.choices[0]?.message.tool_calls ?? [];
    expect(whole.choices[0]?.finish_reason).toBe("tool_calls");
    expect(call?.type === "function" && call.function.name).toBe("get_weather");
    const runner = client.chat.completions.stream({ model: "sim-1", messages: asked, tools });
    const final = await runner.finalChatCompletion();
    const [streamed] = final.choices[0]?.message.tool_calls ?? [];
    expect(streamed?.type === "function" && JSON.parse(streamed.function.arguments)).toEqual({
      place: "Crewe Junction",
    });
  });

  test("answers that are bound to a schema are read as its type, whole and streamed", async () => {
    const ask = { model: "sim-1", messages, response_format: zodResponseFormat(Journey, "journey") };
    const whole = await client.chat.completions.parse(ask);
    expect(whole.choices[0]?.message.parsed).toEqual(JOURNEY);
    const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
    expect(streamed.choices[0]?.message.parsed).toEqual(JOURNEY);
    const response = await client.responses.parse({
      model: "sim-1",
      input: "Tell me",
      text: { format: zodTextFormat(Journey, "journey") },
    });
    expect(response.output_parsed).toEqual(JOURNEY);
    expect(response.text?.format?.type).toBe("json_schema");
    const object = await client.chat.completions.create({
      model: "sim-1",
      messages,
      response_format: { type: "json_object" },
    });
    expect(JSON.parse(object.choices[0]?.message.content ?? "")).toBeObject();
    const cut = await client.chat.completions.create({ ...ask, max_tokens: 3 });
    expect(cut.choices[0]?.finish_reason).toBe("length");
    expect(JSON.stringify(JOURNEY)).toStartWith(cut.choices[0]?.message.content ?? "-");
  });

  test("tools of responses, whole and streamed", async () => {
    const parameters = { type: "object", properties: { stops: { type: "integer", minimum: 2 } } };
    const ask = {
      model: "sim-1",
      input: "Tell me",
      tools: [{ type: "function" as const, name: "plan_journey", parameters, strict: null }],
      tool_choice: "required" as const,
    };
    const whole = await client.responses.create(ask);
    const [call] = whole.output;
    expect(call?.type === "function_call" && [call.name, call.arguments]).toEqual(["plan_journey", '{"stops":2}']);
    expect(whole.tools[0]).toMatchObject({ name: "plan_journey", strict: null, parameters });
    const streamed = await client.responses.stream(ask).finalResponse();
    const [last] = streamed.output;
    expect(last?.type === "function_call" && [last.name, last.arguments]).toEqual(["plan_journey", '{"stops":2}']);
  });

  test("log probabilities with the likeliest tokens", async () => {
    const chat = await client.chat.completions.create({ model: "sim-1", messages, logprobs: true, top_logprobs: 3 });
    const entries = chat.choices[0]?.logprobs?.content ?? [];
    expect(entries.map(({ token }) => token).join("")).toBe(chat.choices[0]?.message.content ?? "-");
    for (const { token, top_logprobs: top } of entries) {
      expect([top.length, top[0]?.token]).toEqual([3, token]);
      expect(top.map(({ logprob }) => logprob)).toEqual(top.map(({ logprob }) => logprob).toSorted((a, b) => b - a));
    }
    const response = await client.responses.create({
      model: "sim-1",
      input: "Tell me",
      include: ["message.output_text.logprobs"],
      top_logprobs: 2,
    });
    const [item] = response.output;
    const part = item?.type === "message" ? item.content[0] : undefined;
    expect(part?.type === "output_text" && part.logprobs?.map(({ top_logprobs: top }) => top.length)[0]).toBe(2);
    const completion = await client.completions.create({ model: "sim-1", prompt: "Once", logprobs: 2 });
    const { tokens = [], top_logprobs: likeliest, text_offset: offsets } = completion.choices[0]?.logprobs ?? {};
    expect(tokens.join("")).toBe(completion.choices[0]?.text ?? "-");
    expect([Object.keys(likeliest?.[0] ?? {}).length, offsets?.[1]]).toEqual([2, tokens[0]?.length]);
  });

  test("completions, embeddings and models", async () => {
    const completion = await client.completions.create({ model: "sim-1", prompt: "Once", max_tokens: 3 });
    expect(completion.choices[0]?.finish_reason).toBe("length");
    const embedding = await client.embeddings.create({ model: "sim-1", input: ["one", "two"] });
    expect(embedding.data.map(({ index }) => index)).toEqual([0, 1]);
    const list = await client.models.list();
    expect(list.data.map(({ id }) => id)).toEqual(["sim-1"]);
    expect((await client.models.retrieve("sim-1")).object).toBe("model");
  });

  test("responses, whole and streamed", async () => {
    const whole = await client.responses.create({ model: "sim-1", input: "Tell me" });
    const stream = await client.responses.create({ model: "sim-1", input: "Tell me", stream: true });
    const types: string[] = [];
    let text = "";
    for await (const event of stream) {
      types.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    expect(text).toBe(whole.output_text);
    expect([types[0], types.at(-1)]).toEqual(["response.created", "response.completed"]);
  });

  test("errors come as the classes that the SDK has for them", async () => {
    const code = async (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => "no error",
        (error: unknown) =>
          error instanceof OpenAI.APIError ? [error.constructor.name, error.status, error.code, error.param] : error,
      );
    expect(await code(client.chat.completions.create({ model: "gpt-9", messages }))).toEqual([
      "NotFoundError",
      404,
      "model_not_found",
      "model",
    ]);
    expect(await code(client.chat.completions.create({ model: "sim-1", messages: [] }))).toEqual([
      "BadRequestError",
      400,
      "upstream_rejected",
      "messages",
    ]);
    const wrong = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "sk-wrong", maxRetries: 0 });
    expect(await code(wrong.models.list())).toEqual(["AuthenticationError", 401, "invalid_api_key", null]);
  });

  test("a stream that is given up stops the engine", async () => {
    await using slow = await startEngine({ instant: false, timing: { decodeMs: 20 } });
    await using other = await startGateway({ workers: [slow.url] });
    const here = new OpenAI({ baseURL: `${other.url}/v1`, apiKey: "x", maxRetries: 0 });
    const line = other.nextLine();
    const stream = await here.chat.completions.create({ model: "sim-1", messages, stream: true });
    for await (const chunk of stream) {
      expect(chunk.id).toBeTruthy();
      break;
    }
    expect((await line)["status"]).toBe(499);
    while (slow.stats.aborted === 0) await Bun.sleep(5);
    expect([slow.stats.started, slow.stats.finished]).toEqual([1, 0]);
  });

  test("the request id is where the SDK looks for it", async () => {
    const answer = await client.chat.completions.create({ model: "sim-1", messages });
    expect(answer._request_id).toMatch(/^[0-9a-f-]{36}$/);
  });
});
