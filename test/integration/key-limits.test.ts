import { describe, expect, test } from "bun:test";
import type { Config } from "../../src/config/schema.ts";
import { Secret } from "../../src/util/secret.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

type ConfiguredKey = Config["apiKeys"][number];

function key(name: string, said: Partial<ConfiguredKey> = {}): ConfiguredKey {
  return { name, key: new Secret(name), roles: ["client"], priority: "normal", ...said };
}

const bearer = (name: string): Record<string, string> => ({ authorization: `Bearer ${name}` });

async function codeOf(response: Response): Promise<unknown[]> {
  const { error } = (await response.json()) as { error?: { code: string } };
  return [response.status, error?.code];
}

describe("a key with limits", () => {
  test("is told with each answer what is left, in the headers of its API", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway({
      workers: [engine.url],
      config: { apiKeys: [key("k", { requestsPerMinute: 60, tokensPerMinute: 6000 })] },
    });
    const chat = await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, max_tokens: 8 }, bearer("k"));
    expect(chat.status).toBe(200);
    expect(chat.headers.get("x-ratelimit-limit-requests")).toBe("60");
    expect(chat.headers.get("x-ratelimit-remaining-requests")).toBe("59");
    expect(chat.headers.get("x-ratelimit-limit-tokens")).toBe("6000");
    expect(Number(chat.headers.get("x-ratelimit-remaining-tokens"))).toBeLessThan(6000);
    expect(chat.headers.get("ratelimit-policy")).toBe('"requests";q=60;w=60, "tokens";q=6000;w=60');
    const messages = await post(`${gateway.url}/v1/messages`, { ...HELLO, max_tokens: 8 }, { "x-api-key": "k" });
    expect(messages.headers.get("anthropic-ratelimit-requests-remaining")).toBe("58");
    expect(messages.headers.get("anthropic-ratelimit-tokens-reset")).toMatch(/^20\d\d-.*Z$/);
    expect(messages.headers.has("x-ratelimit-limit-requests")).toBe(false);
  });

  test("gets the tokens back that its requests did not need, and none of them twice", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway({
      workers: [engine.url],
      config: { apiKeys: [key("k", { tokensPerMinute: 1000 })] },
    });
    const ask = (maxTokens: number): Promise<Response> =>
      post(`${gateway.url}/v1/chat/completions`, { ...HELLO, max_tokens: maxTokens }, bearer("k"));
    const body = (await (await ask(900)).json()) as { usage: { total_tokens: number } };
    // What is left is the whole but for what the worker counted: the rest was settled before the answer's end.
    const next = await ask(8);
    const left = Number(next.headers.get("x-ratelimit-remaining-tokens"));
    await next.arrayBuffer();
    expect(left).toBeGreaterThan(1000 - 2 * body.usage.total_tokens - 60);
    expect(left).toBeLessThan(1000);
    expect(await codeOf(await ask(5000))).toEqual([429, "request_over_limit"]);
    for (let count = 0; count < 20; count += 1) expect((await ask(300)).status).toBe(200);
  });

  test("gets no tokens taken away by requests that reach no worker", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway({
      workers: [engine.url],
      config: { apiKeys: [key("k", { tokensPerMinute: 1000 })] },
    });
    for (let count = 0; count < 4; count += 1) {
      const lost = { ...HELLO, model: "nobody's", max_tokens: 600 };
      expect((await post(`${gateway.url}/v1/chat/completions`, lost, bearer("k"))).status).toBe(404);
    }
  });

  test("is refused with what and until when, in the shape of each API", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway({
      workers: [engine.url],
      config: { apiKeys: [key("k", { requestsPerMinute: 1 })] },
    });
    expect((await post(`${gateway.url}/v1/chat/completions`, HELLO, bearer("k"))).status).toBe(200);
    const refused = await post(`${gateway.url}/v1/chat/completions`, HELLO, bearer("k"));
    expect(refused.headers.get("retry-after")).toMatch(/^(59|60)$/);
    expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("0");
    expect(await refused.json()).toMatchObject({
      error: {
        type: "rate_limit_error",
        code: "rate_limit_exceeded",
        message: expect.stringMatching(/^no more than 1 requests a minute with this key; try again in (59|60) s$/),
      },
    });
    const anthropic = await post(`${gateway.url}/v1/messages`, { ...HELLO, max_tokens: 3 }, { "x-api-key": "k" });
    expect(anthropic.headers.get("anthropic-ratelimit-requests-remaining")).toBe("0");
    expect(await anthropic.json()).toMatchObject({ type: "error", error: { type: "rate_limit_error" } });
  });
});

test("a key with models gets these only, sees these only, and must name one", async () => {
  await using one = await startEngine({ model: "llama-8b" });
  await using two = await startEngine({ model: "qwen" });
  await using gateway = await startGateway({
    workers: [one.url, two.url],
    config: { apiKeys: [key("k", { models: ["llama-*"] }), key("all")] },
  });
  const ask = (model: string | undefined): Promise<Response> =>
    post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model }, bearer("k"));
  expect((await ask("llama-8b")).status).toBe(200);
  expect(await codeOf(await ask("qwen"))).toEqual([403, "model_not_allowed"]);
  expect(await codeOf(await ask(undefined))).toEqual([400, "missing_model"]);
  const models = async (name: string): Promise<string[]> => {
    const response = await fetch(`${gateway.url}/v1/models`, { headers: bearer(name) });
    return ((await response.json()) as { data: { id: string }[] }).data.map(({ id }) => id);
  };
  expect([await models("k"), await models("all")]).toEqual([["llama-8b"], ["llama-8b", "qwen"]]);
  const hidden = await fetch(`${gateway.url}/v1/models/qwen`, { headers: bearer("k") });
  expect(hidden.status).toBe(404);
});

test("a client that leaves in the middle gives its place back", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { apiKeys: [key("k", { maxConcurrentRequests: 1 })] },
  });
  for (let count = 0; count < 5; count += 1) {
    const leaving = new AbortController();
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...bearer("k") },
      body: JSON.stringify({ ...HELLO, stream: true, max_tokens: 2000 }),
      signal: leaving.signal,
    });
    expect(response.status).toBe(200);
    leaving.abort();
    // The place is free once the gateway has seen the client leave.
    for (let turn = 0; turn < 200; turn += 1) {
      const next = await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, max_tokens: 1 }, bearer("k"));
      await next.arrayBuffer();
      if (next.status === 200) break;
      expect(next.status).toBe(429);
      expect(turn).toBeLessThan(199);
      await Bun.sleep(10);
    }
  }
});
