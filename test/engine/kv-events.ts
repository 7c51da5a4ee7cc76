import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { workerSchema } from "../../src/config/schema.ts";
import { post, startGateway, type TestGateway } from "../support/gateway.ts";
import { killVllm, MODEL, origin, startVllm, startZygote, stopZygote } from "./engines.ts";

/**
 * What the gateway expects a real engine to have cached, by its KV events, and what the engine says itself (`cached_tokens`), request by
 * request: while it evicts, in each API, after its cache is emptied, and after it was killed. See engines.ts.
 */
const PORTS = { http: 18_451, live: 18_452, replay: 18_462 };
/** Room for some prompts only, so that the engine evicts all the time. */
const FLAGS = ["--max-model-len", "2048", "--num-gpu-blocks-override", "96", "--enable-prompt-tokens-details"] as const;
const EVENTS = {
  enable_kv_cache_events: true,
  publisher: "zmq",
  endpoint: `tcp://*:${PORTS.live}`,
  replay_endpoint: `tcp://*:${PORTS.replay}`,
};
/** Tokens of the engine's blocks. */
const BLOCK = 32;
const WORDS = "import class return self value index argument parse string error file path open read write list".split(
  " ",
);

let gateway: TestGateway;

beforeAll(async () => {
  await startZygote();
  await startEngine();
  gateway = await startGateway({
    config: {
      tokenizerPath: join(process.env["POINTSMAN_ENGINE_SCRIPTS"] ?? "", "tiny-llama-chat"),
      defaultPolicy: "least_ttft",
      healthCheckIntervalSecs: 0.5,
      initialWorkers: [
        {
          ...workerSchema.parse({
            url: origin(PORTS.http),
            kvEvents: {
              endpoint: `tcp://127.0.0.1:${PORTS.live}`,
              replayEndpoint: `tcp://127.0.0.1:${PORTS.replay}`,
            },
          }),
          source: "file",
        },
      ],
    },
  });
  await untilExact();
}, 240_000);

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await killVllm(PORTS.http, "KILL");
  stopZygote();
}, 60_000);

function startEngine(): Promise<void> {
  return startVllm(PORTS.http, ...FLAGS, "--kv-events-config", JSON.stringify(EVENTS));
}

interface ShownWorker {
  readonly status: string;
  readonly cache_trust: number;
  /** null until the events are followed. */
  readonly kv_events: { readonly state: string; readonly restarts: number; readonly gaps: number } | null;
}

async function shown(): Promise<ShownWorker | undefined> {
  const page = (await (await fetch(`${gateway.url}/workers`)).json()) as { readonly workers: readonly ShownWorker[] };
  return page.workers[0];
}

async function untilExact(): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    const worker = await shown();
    if (worker?.status === "ready" && worker.kv_events?.state === "exact") return;
    await Bun.sleep(50);
  }
}

let seed = 11;
/** A whole number from 0 below `below`; the same in each run. */
function random(below: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
}

const words = (many: number): string => Array.from({ length: many }, () => WORDS[random(WORDS.length)]).join(" ");

interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

const conversations = Array.from({ length: 6 }, (_, number): Message[] => [
  { role: "system", content: `conversation ${number} ${words(60)}` },
]);
const documents = Array.from({ length: 4 }, (_, number) => `document ${number} ${words(120)}`);
const TOOL = {
  type: "function",
  function: { name: "search", description: "Search the pages", parameters: { type: "object", properties: {} } },
};

/** Tools that servers write into their prompts otherwise than they came. */
const ODD_TOOLS = [{ type: "function", function: { strict: true, name: "list" } }, TOOL];

/** The next turn of a conversation. */
function turn(): readonly Message[] {
  const messages = conversations[random(conversations.length)] ?? [];
  if (messages.length > 20) messages.splice(1);
  if (messages.length > 1) messages.push({ role: "assistant", content: "fine" });
  messages.push({ role: "user", content: words(10 + random(30)) });
  return [...messages];
}

const completion = (more: object = {}) => ({ prompt: `${documents[random(documents.length)]} ${words(5)}`, ...more });
const CHAT = "/v1/chat/completions";
/** Requests of each kind: the path, and the body without model and bounds. */
const KINDS: Readonly<Record<string, () => readonly [path: string, body: object]>> = {
  chat: () => [CHAT, { messages: turn() }],
  stream: () => [CHAT, { messages: turn(), stream: true, stream_options: { include_usage: true } }],
  tools: () => [CHAT, { messages: turn(), tools: [TOOL] }],
  "odd tools": () => [CHAT, { messages: turn(), tools: ODD_TOOLS, tool_choice: random(2) === 0 ? "none" : "auto" }],
  salt: () => [CHAT, { messages: turn(), cache_salt: `tenant-${random(2)}` }],
  messages: () => {
    const [system, ...messages] = turn();
    const blocks = [system?.content, "A second block."].map((text) => ({ type: "text", text }));
    return ["/v1/messages", { system: random(2) === 0 ? system?.content : blocks, messages }];
  },
  responses: () => ["/v1/responses", { input: turn(), max_output_tokens: 16 }],
  completion: () => ["/v1/completions", completion()],
  ids: () => ["/v1/completions", { prompt: Array.from({ length: 300 }, (_, at) => 300 + ((at * 7) % 5000)) }],
  "prompt log probabilities": () => ["/v1/completions", completion({ prompt_logprobs: 1 })],
};

interface Leg {
  readonly predicted_cached_tokens?: number;
  readonly cached_tokens?: number;
}

/** Sends one request after the other. Returns the predictions that are wrong by a block or more, and the tokens that were found. */
async function send(count: number): Promise<{ readonly wrong: readonly string[]; readonly found: number }> {
  const kinds = Object.entries(KINDS);
  const wrong: string[] = [];
  let found = 0;
  for (let number = 0; number < count; number += 1) {
    const [kind, make] = kinds[number % kinds.length] ?? [];
    const [path, body] = make?.() ?? [CHAT, {}];
    // What the last request stored and evicted has come by now.
    await Bun.sleep(120);
    const answer = await post(`${gateway.url}${path}`, { model: MODEL, max_tokens: 8, ...body });
    const text = await answer.text();
    expect([kind, answer.status, answer.status === 200 ? "" : text]).toEqual([kind, 200, ""]);
    const id = answer.headers.get("x-request-id") ?? "";
    const page = await (await fetch(`${gateway.url}/debug/decisions?request_id=${id}`)).json();
    const { decisions } = page as { readonly decisions: readonly { readonly legs: readonly Leg[] }[] };
    const { predicted_cached_tokens: predicted = 0, cached_tokens: cached = 0 } = decisions[0]?.legs[0] ?? {};
    found += cached;
    if (Math.abs(predicted - cached) >= BLOCK) wrong.push(`${kind}: predicted ${predicted}, cached ${cached}`);
  }
  return { wrong, found };
}

describe("what is expected of an engine's cache", () => {
  test("is what it has, to the block, in every API and while it evicts", async () => {
    const { wrong, found } = await send(180);
    expect(wrong).toEqual([]);
    expect(found).toBeGreaterThan(5000);
    expect(await shown()).toMatchObject({ cache_trust: 1, kv_events: { state: "exact", gaps: 0 } });
  }, 180_000);

  test("is nothing once the cache was emptied, and what it has again after it", async () => {
    expect((await post(`${origin(PORTS.http)}/reset_prefix_cache`, {})).status).toBe(200);
    // The engine tells of it with its next step.
    const { wrong } = await send(30);
    expect(wrong.slice(1)).toEqual([]);
  }, 60_000);

  test("is nothing once it was killed, and what the next process has", async () => {
    await killVllm(PORTS.http, "KILL");
    await startEngine();
    await untilExact();
    const { wrong, found } = await send(60);
    expect([wrong, (await shown())?.kv_events?.restarts]).toEqual([[], 1]);
    expect(found).toBeGreaterThan(1000);
  }, 180_000);
});
