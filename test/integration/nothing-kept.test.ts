import { expect, test } from "bun:test";
import { heapStats } from "bun:jsc";
import type { Logger } from "../../src/observability/logger.ts";
import type { Config } from "../../src/config/schema.ts";
import { Secret } from "../../src/util/secret.ts";
import { startGrpcPd } from "../support/grpc-pd.ts";
import { TINY_MODEL } from "../support/tiny-model.ts";
import { post, startGateway, type TestGateway } from "../support/gateway.ts";

const WAVES = 20;
const CLIENTS = 32;
const TURNS = 60;
/** Idle sockets to workers are kept for three seconds, ms. */
const SOCKETS_GONE_MS = 3500;
/** Objects and promises that come and go by themselves: timers, and what the runtime makes once. */
const SPARE = 50;

/** What is alive after a full collection. */
function alive(): { readonly objects: number; readonly promises: number } {
  Bun.gc(true);
  Bun.gc(true);
  const { objectTypeCounts } = heapStats();
  return { objects: objectTypeCounts["Object"] ?? 0, promises: objectTypeCounts["Promise"] ?? 0 };
}

const QUIET: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Unlike the simulated one it keeps nothing of what it was asked. */
function startForgetfulEngine(): Bun.Server<undefined> {
  const event = (content: string, finish: string | null): string =>
    `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
  return Bun.serve({
    port: 0,
    hostname: "0.0.0.0",
    async fetch(request) {
      if (request.method === "GET") return Response.json({ object: "list", data: [{ id: "m", object: "model" }] });
      const body = await request.text();
      if (!body.includes('"stream":true')) return Response.json({ object: "chat.completion", choices: [] });
      const events = async function* (): AsyncGenerator<string> {
        for (let token = 0; token < 20; token += 1) {
          yield event("token ", null);
          await Bun.sleep(0);
        }
        yield `${event("", "stop")}data: [DONE]\n\n`;
      };
      return new Response(events(), { headers: { "content-type": "text/event-stream" } });
    },
  });
}

const KEY = { authorization: "Bearer k" };
const CHAT = { model: "m", messages: [{ role: "user", content: "x" }] };

/** One client's request, which half of them do not wait for. */
async function ask({ url }: TestGateway, number: number, model = CHAT.model): Promise<void> {
  const controller = new AbortController();
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      signal: controller.signal,
      headers: { ...KEY, "content-type": "application/json" },
      body: JSON.stringify({
        model,
        stream: number % 2 === 0,
        max_tokens: 20,
        messages: [{ role: "user", content: "x".repeat(number % 3 === 0 ? 20_000 : 50) }],
      }),
    });
    if (number % 4 < 2) setTimeout(() => controller.abort(), Math.random() * 3);
    await response.text();
  } catch {
    // It left.
  }
}

async function waves(gateway: TestGateway, model = CHAT.model): Promise<void> {
  for (let wave = 0; wave < WAVES; wave += 1) {
    await Promise.all(Array.from({ length: CLIENTS }, (_, number) => ask(gateway, number, model)));
  }
}

/** Rounds until what is kept for the next requests, as connections and their streams, is there. */
const MOST_ROUNDS = 6;

/**
 * Does all of it again and again, until as much is alive after it as was before. What is kept for the next requests is complete after some
 * rounds; what is kept of requests that are over grows in each.
 */
async function expectNothingKept(doAll: () => Promise<void>): Promise<void> {
  const round = async (): Promise<ReturnType<typeof alive>> => {
    await doAll();
    await Bun.sleep(SOCKETS_GONE_MS);
    return alive();
  };
  await round();
  let before = await round();
  for (let number = 3; ; number += 1) {
    const after = await round();
    const grown = { objects: after.objects - before.objects, promises: after.promises - before.promises };
    if (grown.objects < SPARE && grown.promises < SPARE) return;
    if (number === MOST_ROUNDS) throw new Error(`each round leaves something: ${JSON.stringify(grown)}`);
    before = after;
  }
}

/** Few choices, so that the log of them is full from the first round on. */
const EVERYTHING: Partial<Config> = {
  decisionLogSize: 64,
  shadowPolicy: "cache_aware",
  apiKeys: [
    {
      name: "k",
      key: new Secret("k"),
      roles: ["client", "admin"],
      priority: "normal",
      requestsPerMinute: 1e6,
      tokensPerMinute: 1e9,
      maxConcurrentRequests: 100,
    },
  ],
};

for (const [title, config] of [
  ["round_robin", { decisionLogSize: 64, defaultPolicy: "round_robin" }],
  ["least_ttft", { decisionLogSize: 64, defaultPolicy: "least_ttft" }],
  ["least_ttft, a shadow, a key and its limits", { ...EVERYTHING, defaultPolicy: "least_ttft" }],
] satisfies readonly (readonly [string, Partial<Config>])[]) {
  test(`nothing is kept of requests that are over, though half of their clients left at any moment: ${title}`, async () => {
    using engine = startForgetfulEngine();
    using other = startForgetfulEngine();
    await using gateway = await startGateway({
      workers: [`http://127.0.0.1:${engine.port}`, `http://127.0.0.1:${other.port}`],
      config,
      overrides: { logger: QUIET },
    });
    await expectNothingKept(() => waves(gateway));
  }, 60_000);
}

test("nothing is kept of requests to pairs over HTTP", async () => {
  using prefill = startForgetfulEngine();
  using decode = startForgetfulEngine();
  const at = ({ port }: Bun.Server<undefined>): string => `http://127.0.0.1:${port}`;
  await using gateway = await startGateway({
    workers: [
      { flag: "--prefill", url: at(prefill), workerType: "prefill", bootstrapPort: 8998 },
      { flag: "--decode", url: at(decode), workerType: "decode" },
    ],
    config: { ...EVERYTHING, defaultPolicy: "least_ttft" },
    overrides: { logger: QUIET },
  });
  expect((await post(`${gateway.url}/v1/chat/completions`, CHAT, KEY)).status).toBe(200);
  await expectNothingKept(() => waves(gateway));
}, 60_000);

test("nothing is kept of requests to pairs over gRPC", async () => {
  const config = { ...EVERYTHING, defaultPolicy: "least_ttft" };
  await using setup = await startGrpcPd({
    kind: "sglang",
    engine: { keptRecords: 0 },
    config,
    overrides: { logger: QUIET },
  });
  expect((await post(`${setup.gateway.url}/v1/chat/completions`, { ...CHAT, model: TINY_MODEL }, KEY)).status).toBe(
    200,
  );
  await expectNothingKept(() => waves(setup.gateway, TINY_MODEL));
}, 60_000);

test("nothing is kept of workers that came, served and went, and of configurations that were in force", async () => {
  using engine = startForgetfulEngine();
  await using gateway = await startGateway({
    config: { ...EVERYTHING, defaultPolicy: "least_ttft" },
    overrides: { logger: QUIET },
  });
  let turn = 0;
  await expectNothingKept(async () => {
    for (const end = turn + TURNS; turn < end; turn += 1) {
      // Each worker has an address of its own, and each configuration differs from the one before.
      const url = `http://127.0.${1 + (turn >> 7)}.${1 + (turn & 127)}:${engine.port}`;
      const added = await post(`${gateway.url}/workers?wait=true`, { url, labels: { turn: String(turn) } }, KEY);
      expect([added.status, await added.text()]).toEqual([201, expect.any(String)]);
      const applied = await post(`${gateway.url}/config`, { queue_size: 200 + (turn % 7) }, KEY);
      expect([applied.status, await applied.text()]).toEqual([200, expect.stringContaining("queue_size")]);
      await Promise.all(Array.from({ length: 4 }, (_, number) => ask(gateway, number)));
      const { location } = (await (
        await fetch(`${gateway.url}/workers/${encodeURIComponent(url)}`, { method: "DELETE", headers: KEY })
      ).json()) as { location: string };
      while ((await fetch(gateway.url + location, { headers: KEY })).status === 200) await Bun.sleep(5);
    }
  });
}, 60_000);
