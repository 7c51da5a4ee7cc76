import { expect, test } from "bun:test";
import { heapStats } from "bun:jsc";
import type { Logger } from "../../src/observability/logger.ts";
import { startGateway } from "../support/gateway.ts";

const WAVES = 20;
const CLIENTS = 32;
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
    hostname: "127.0.0.1",
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

test("nothing is kept of requests that are over, though half of their clients left at any moment", async () => {
  using engine = startForgetfulEngine();
  await using gateway = await startGateway({
    workers: [`http://127.0.0.1:${engine.port}`],
    overrides: { logger: QUIET },
  });
  const ask = async (number: number): Promise<void> => {
    const controller = new AbortController();
    try {
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        signal: controller.signal,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "m",
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
  };
  const round = async (): Promise<ReturnType<typeof alive>> => {
    for (let wave = 0; wave < WAVES; wave += 1) {
      await Promise.all(Array.from({ length: CLIENTS }, (_, number) => ask(number)));
    }
    await Bun.sleep(SOCKETS_GONE_MS);
    return alive();
  };
  await round();
  const before = await round();
  const after = await round();
  expect(after.objects - before.objects).toBeLessThan(SPARE);
  expect(after.promises - before.promises).toBeLessThan(SPARE);
}, 60_000);
