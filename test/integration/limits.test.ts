import { expect, test } from "bun:test";
import type { Config } from "../../src/config/schema.ts";
import { Secret } from "../../src/util/secret.ts";
import { clientIdOf, type HeldEngine, startEngine, startHeldEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

const UNLIMITED: Pick<Config["apiKeys"][number], "roles"> = { roles: ["client"] };

async function codeOf(response: Response): Promise<unknown[]> {
  const { error } = (await response.json()) as { error?: { code: string } };
  return [response.status, error?.code];
}

/** Its requests go by their ids. */
const startHeld = (model: string): Promise<HeldEngine> => startHeldEngine(model, clientIdOf);

test("a model has its own places, and its queue does not hold up another model", async () => {
  const held = await startHeld("held");
  await using _held = held.engine;
  await using free = await startEngine({ model: "free" });
  await using gateway = await startGateway({
    workers: [held.engine.url, free.url],
    config: { maxConcurrentRequestsPerModel: 1, queueSize: 1 },
  });
  const chat = (model: string): Promise<Response> => post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model });
  const first = chat("held");
  while (held.order.length < 1) await Bun.sleep(2);
  const second = chat("held");
  const codes = await Promise.race([second.then(codeOf), Bun.sleep(50).then(() => "waits")]);
  expect(codes).toBe("waits");
  expect(await codeOf(await chat("held"))).toEqual([503, "queue_full"]);
  expect((await chat("free")).status).toBe(200);
  held.release();
  expect((await first).status).toBe(200);
  while (held.order.length < 2) await Bun.sleep(2);
  held.release();
  expect((await second).status).toBe(200);
});

test("who leaves the queue first is said by the key's class, and a client may lower its own", async () => {
  const held = await startHeld("sim-1");
  await using _held = held.engine;
  await using gateway = await startGateway({
    workers: [held.engine.url],
    config: {
      maxConcurrentRequests: 1,
      apiKeys: [
        { name: "batch", key: new Secret("b"), priority: "low", ...UNLIMITED },
        { name: "people", key: new Secret("p"), priority: "high", ...UNLIMITED },
      ],
    },
  });
  const chat = (key: string, id: string, headers: Record<string, string> = {}): Promise<Response> =>
    post(`${gateway.url}/v1/chat/completions`, HELLO, {
      authorization: `Bearer ${key}`,
      "x-request-id": id,
      ...headers,
    });
  const all = [chat("p", "zero")];
  while (held.order.length < 1) await Bun.sleep(2);
  for (const [key, id, headers] of [
    ["b", "batch-1", {}],
    ["p", "people-low", { "x-request-priority": "normal" }],
    ["p", "people-1", {}],
    ["b", "batch-high", { "x-request-priority": "high" }],
  ] as const) {
    all.push(chat(key, id, headers));
    await Bun.sleep(15);
  }
  for (let count = 1; count <= 5; count += 1) {
    while (held.order.length < count) await Bun.sleep(2);
    held.release();
  }
  expect((await Promise.all(all)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect(held.order).toEqual(["zero", "people-1", "people-low", "batch-1", "batch-high"]);
});

test("a noisy key is held to its own limit, and another is not touched", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: {
      apiKeys: [
        {
          name: "noisy",
          key: new Secret("n"),
          priority: "normal",
          roles: ["client"],
          requestsPerMinute: 5,
        },
        { name: "quiet", key: new Secret("q"), priority: "normal", ...UNLIMITED },
      ],
    },
  });
  const chat = (key: string): Promise<Response> =>
    post(`${gateway.url}/v1/chat/completions`, HELLO, { authorization: `Bearer ${key}` });
  const noisy = await Promise.all(Array.from({ length: 30 }, () => chat("n")));
  const refused = noisy.filter(({ status }) => status === 429);
  expect([refused.length, noisy.filter(({ status }) => status === 200).length]).toEqual([25, 5]);
  expect(Number(refused[0]?.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  expect((await Promise.all(Array.from({ length: 30 }, () => chat("q")))).every(({ ok }) => ok)).toBe(true);
  const anthropic = await post(`${gateway.url}/v1/messages`, { ...HELLO, max_tokens: 3 }, { "x-api-key": "n" });
  expect([anthropic.status, await anthropic.json()]).toMatchObject([
    429,
    { type: "error", error: { type: "rate_limit_error" } },
  ]);
});

test("bytes of bodies are bounded together, and given back", async () => {
  const held = await startHeld("sim-1");
  await using _held = held.engine;
  await using gateway = await startGateway({
    workers: [held.engine.url],
    config: { maxRequestBytesInFlight: 1_048_576 },
  });
  const big = { ...HELLO, messages: [{ role: "user", content: "x".repeat(700_000) }] };
  const first = post(`${gateway.url}/v1/chat/completions`, big);
  while (held.order.length < 1) await Bun.sleep(2);
  const refused = await post(`${gateway.url}/v1/chat/completions`, big);
  expect([...(await codeOf(refused)), refused.headers.get("retry-after")]).toEqual([503, "memory_full", "1"]);
  held.release();
  expect((await first).status).toBe(200);
  const again = post(`${gateway.url}/v1/chat/completions`, big);
  while (held.order.length < 2) await Bun.sleep(2);
  held.release();
  expect((await again).status).toBe(200);
});

test("a client that would not wait for its turn is told at once", async () => {
  const held = await startHeld("sim-1");
  await using _held = held.engine;
  await using gateway = await startGateway({
    workers: [held.engine.url],
    config: { maxConcurrentRequests: 1, queueTimeoutSecs: 30 },
  });
  const first = post(`${gateway.url}/v1/chat/completions`, HELLO);
  while (held.order.length < 1) await Bun.sleep(2);
  const impatient = await post(`${gateway.url}/v1/chat/completions`, HELLO, { "x-stainless-timeout": "0.1" });
  expect(await codeOf(impatient)).toEqual([503, "queue_timeout"]);
  held.release();
  expect((await first).status).toBe(200);
});
