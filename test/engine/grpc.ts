import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import {
  killVllm,
  logOf,
  MODEL,
  origin,
  startPdHalf,
  startVllm,
  startVllmGrpc,
  startZygote,
  stopZygote,
} from "./engines.ts";
import { GrpcTransport } from "../../src/transport/grpc/grpc-transport.ts";
import { HealthCheckResponse } from "../../src/transport/grpc/generated/engine/vllm.ts";
import { VLLM } from "../../src/engine/vllm/methods.ts";
import { systemClock } from "../../src/util/clock.ts";
import { post, startGateway, type TestGateway } from "../support/gateway.ts";

/** Real engines over gRPC, beside one of the same model over HTTP: what the gateway makes of tokens is what the engine makes. */
const PORTS = { http: 18_441, grpc: 18_442, prefill: 18_443, decode: 18_444 };
const grpcOrigin = (port: number): string => `grpc://127.0.0.1:${port}`;

let gateway: TestGateway;
let pair: TestGateway;
let through: OpenAI;
let direct: OpenAI;

/** Until the gRPC server of the port says that it is healthy. */
async function untilServing(port: number): Promise<void> {
  using grpc = new GrpcTransport();
  for (let tries = 0; tries < 240; tries += 1) {
    const timeouts = { connectMs: 1000, firstByteMs: 1000, idleMs: 1000 };
    const deadline = systemClock.now() + 1000;
    const answer = await grpc
      .unary(grpcOrigin(port), VLLM.healthCheck, new Uint8Array(0), { deadline, timeouts })
      .catch(() => undefined);
    if (answer && HealthCheckResponse.decode(answer).healthy) return;
    await Bun.sleep(250);
  }
  throw new Error(`the engine on port ${port} did not come up`);
}

beforeAll(async () => {
  await startZygote();
  await startVllmGrpc(PORTS.grpc);
  await startPdHalf("kv_producer", { port: PORTS.prefill, sidePort: 15_721 }, "--grpc");
  await startPdHalf("kv_consumer", { port: PORTS.decode, sidePort: 15_722 }, "--grpc");
  await startVllm(PORTS.http);
  await Promise.all([PORTS.grpc, PORTS.prefill, PORTS.decode].map(untilServing));
  gateway = await startGateway({
    workers: [grpcOrigin(PORTS.grpc)],
    // Neither the model's name nor its template tells that it thinks.
    config: { healthCheckIntervalSecs: 60, reasoningParser: "base" },
  });
  pair = await startGateway({
    workers: [
      { flag: "--prefill", url: grpcOrigin(PORTS.prefill), workerType: "prefill" },
      { flag: "--decode", url: grpcOrigin(PORTS.decode), workerType: "decode" },
    ],
    config: { healthCheckIntervalSecs: 60 },
  });
  through = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "unused", maxRetries: 0 });
  direct = new OpenAI({ baseURL: `${origin(PORTS.http)}/v1`, apiKey: "unused", maxRetries: 0 });
}, 300_000);

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await pair[Symbol.asyncDispose]();
  for (const port of Object.values(PORTS)) await killVllm(port, "KILL");
  stopZygote();
}, 60_000);

const QUESTIONS = [
  "What does the function return?",
  "How do I open a file?",
  "What is a context manager? 😀",
  "Explain the argument named encoding.",
];
const weather: OpenAI.ChatCompletionTool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Get the weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

interface Said {
  readonly content: string;
  readonly reasoning: string;
  readonly calls: string;
  readonly finish: string | null;
}

async function streamed(
  client: OpenAI,
  body: Omit<OpenAI.ChatCompletionCreateParamsStreaming, "stream">,
): Promise<Said> {
  let content = "";
  let reasoning = "";
  let calls = "";
  let finish: string | null = null;
  for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
    const [choice] = choices;
    if (!choice) continue;
    const delta = choice.delta as OpenAI.ChatCompletionChunk.Choice.Delta & {
      reasoning_content?: string;
      reasoning?: string;
    };
    content += delta.content ?? "";
    reasoning += delta.reasoning_content ?? delta.reasoning ?? "";
    for (const call of delta.tool_calls ?? []) calls += (call.function?.name ?? "") + (call.function?.arguments ?? "");
    finish = choice.finish_reason ?? finish;
  }
  return { content, reasoning, calls, finish };
}

describe("one worker over gRPC", () => {
  test("chat says what the same engine says over HTTP, whole and streamed", async () => {
    for (const content of QUESTIONS) {
      const body = { model: MODEL, messages: [{ role: "user" as const, content }], temperature: 0, max_tokens: 48 };
      const [ours, theirs] = [await through.chat.completions.create(body), await direct.chat.completions.create(body)];
      expect(ours.choices[0]?.message.content).toBe(theirs.choices[0]?.message.content ?? "");
      expect(ours.choices[0]?.finish_reason).toBe(theirs.choices[0]?.finish_reason);
      expect([ours.usage?.prompt_tokens, ours.usage?.completion_tokens]).toEqual([
        theirs.usage?.prompt_tokens,
        theirs.usage?.completion_tokens,
      ]);
      expect(await streamed(through, body)).toEqual(await streamed(direct, body));
    }
  });

  test("tools, whole and streamed", async () => {
    const body = {
      model: MODEL,
      messages: [{ role: "user" as const, content: "What is the weather in Paris?" }],
      tools: [weather],
      temperature: 0,
      max_tokens: 64,
    };
    const [ours, theirs] = [await through.chat.completions.create(body), await direct.chat.completions.create(body)];
    const callOf = ({ choices }: OpenAI.ChatCompletion): unknown[] => {
      const [call] = choices[0]?.message.tool_calls ?? [];
      return call?.type === "function" ? [call.function.name, JSON.parse(call.function.arguments)] : [];
    };
    expect(callOf(ours)).toMatchObject(["get_weather", { city: "Paris" }]);
    expect(callOf(ours)).toEqual(callOf(theirs));
    expect(ours.choices[0]?.finish_reason).toBe("tool_calls");
    const { calls, finish } = await streamed(through, body);
    expect([calls.startsWith("get_weather{"), finish]).toEqual([true, "tool_calls"]);
    expect(["get_weather", JSON.parse(calls.slice("get_weather".length))]).toEqual(callOf(theirs));
  });

  test("thinking is told apart from the answer", async () => {
    let same = 0;
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const messages = [
        { role: "system" as const, content: "You think before you answer." },
        { role: "user" as const, content: "What does the function return?" },
      ];
      // Greedy, the small model's thought has no end.
      const body = { model: MODEL, messages, temperature: 1, seed, max_tokens: 200 };
      // The engine has no parser for it: what it says is taken apart here.
      const text = (await direct.chat.completions.create(body)).choices[0]?.message.content ?? "";
      expect(text).toStartWith("<think>");
      const [thought = "", answer = ""] = text.slice("<think>".length).split("</think>");
      const ours = await streamed(through, body);
      expect(ours.reasoning).not.toBe("");
      expect(ours.reasoning).not.toContain("think>");
      // One seed is one text, where the numerics of two processes agree to the last bit.
      if (ours.reasoning.trim() === thought.trim() && ours.content.trim() === answer.trim() && answer !== "") same += 1;
    }
    expect(same).toBeGreaterThan(0);
    console.log(`thoughts and answers as the engine itself has them: ${same} of 6`);
  });

  test("completions, log probabilities, stop strings and several answers", async () => {
    const body = { model: MODEL, prompt: "def read(", temperature: 0, max_tokens: 24, logprobs: 2 };
    const [ours, theirs] = [await through.completions.create(body), await direct.completions.create(body)];
    expect(ours.choices[0]?.text).toBe(theirs.choices[0]?.text ?? "");
    expect(ours.choices[0]?.logprobs?.tokens).toEqual(theirs.choices[0]?.logprobs?.tokens ?? []);
    const probabilities = (answer: OpenAI.Completion): number[] => answer.choices[0]?.logprobs?.token_logprobs ?? [];
    for (const [at, logprob] of probabilities(ours).entries()) {
      expect(logprob).toBeCloseTo(probabilities(theirs)[at] ?? Number.NaN, 2);
    }
    const text = theirs.choices[0]?.text ?? "";
    const stop = text.slice(6, 9);
    const stopped = { model: MODEL, prompt: "def read(", temperature: 0, max_tokens: 24, stop: [stop] };
    const [cut, theirCut] = [await through.completions.create(stopped), await direct.completions.create(stopped)];
    expect([cut.choices[0]?.text, cut.choices[0]?.finish_reason]).toEqual([
      theirCut.choices[0]?.text,
      theirCut.choices[0]?.finish_reason,
    ]);
    const several = await through.completions.create({
      model: MODEL,
      prompt: ["def a(", "def b("],
      n: 2,
      max_tokens: 4,
    });
    expect(several.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  });

  test("tokens of a chat are counted as the engine counts them", async () => {
    const messages = [{ role: "user", content: "What does the function return?" }];
    const ours = (await (await post(`${gateway.url}/tokenize`, { model: MODEL, messages })).json()) as {
      tokens: number[];
    };
    const theirs = (await (await post(`${origin(PORTS.http)}/tokenize`, { model: MODEL, messages })).json()) as {
      tokens: number[];
    };
    expect(ours.tokens).toEqual(theirs.tokens);
  });
});

describe("a prefill/decode pair over gRPC", () => {
  const code = `class Foo:\n${Array.from({ length: 40 }, (_, n) => `    def method_${n}(self, value): return self.value + ${n}\n`).join("")}`;

  test("the text is a single engine's, and the KV cache moves", async () => {
    const bodies = [
      {
        model: MODEL,
        messages: [{ role: "user" as const, content: `${code}\nWhat is it?` }],
        temperature: 0,
        max_tokens: 24,
      },
      {
        model: MODEL,
        messages: [{ role: "user" as const, content: `Tell me.\n${code}` }],
        temperature: 0,
        max_tokens: 24,
      },
    ];
    const client = new OpenAI({ baseURL: `${pair.url}/v1`, apiKey: "unused", maxRetries: 0 });
    const kv = pair.context.workerRegistry.all().map(({ info }) => info.kv?.connector);
    expect(kv).toEqual(["NixlConnector", "NixlConnector"]);
    for (const body of bodies) {
      const theirs = await direct.chat.completions.create(body);
      const ours = await client.chat.completions.create(body);
      expect(ours.choices[0]?.message.content).toBe(theirs.choices[0]?.message.content ?? "");
      expect(ours.usage?.prompt_tokens).toBe(theirs.usage?.prompt_tokens);
      expect((await streamed(client, body)).content).toBe(theirs.choices[0]?.message.content ?? "");
    }
    const text = await (await fetch(`${pair.url}/metrics`)).text();
    expect(text).toMatch(/pointsman_kv_transfers_total\{[^}]*connector="nixl",outcome="handed_over"\} 4/);
    // The gRPC server has no page of metrics: every ten seconds the engine writes what was transferred.
    const transfers = async (): Promise<number> => {
      const log = await logOf(PORTS.decode);
      let sum = 0;
      for (const [, count] of log.matchAll(/Num successful transfers=(\d+)/g)) sum += Number(count);
      return sum;
    };
    for (let tries = 0; tries < 60 && (await transfers()) < 2; tries += 1) await Bun.sleep(500);
    expect(await transfers()).toBeGreaterThanOrEqual(2);
    console.log(`the decode engine says: ${await transfers()} transfers`);
  });
});
