import { afterAll, expect, test } from "bun:test";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { Issuer } from "../support/issuer.ts";
import { startProcess } from "../support/process.ts";

const KEY = "right-key";
const BOUND = 5;
const issuer = new Issuer();
afterAll(() => issuer[Symbol.dispose]());

/** Requests with this credential, one after another: their statuses, and the last answer. */
async function ask(
  url: string,
  key: string,
  count: number,
  headers: Record<string, string> = {},
): Promise<{ readonly statuses: number[]; readonly last: Response; readonly body: unknown }> {
  const statuses: number[] = [];
  for (;;) {
    const last = await post(url, HELLO, { authorization: `Bearer ${key}`, ...headers });
    const body: unknown = await last.json();
    statuses.push(last.status);
    if (statuses.length === count) return { statuses, last, body };
  }
}

for (const threads of [1, 2]) {
  test(`with ${threads} threads wrong keys beyond the bound are counted and not logged, and right ones are served all the while`, async () => {
    await using engine = await startEngine();
    const flags = ["--api-key", KEY, "--auth-failures-per-minute", String(BOUND), "--threads", String(threads)];
    await using gateway = await startProcess(["--worker", engine.url, ...flags]);
    const chat = `${gateway.url}/v1/chat/completions`;
    const messages = `${gateway.url}/v1/messages`;
    for (let turn = 0; turn < 400 && !(await fetch(`${gateway.url}/readiness`)).ok; turn += 1) await Bun.sleep(25);
    // Each thread has a count of its own.
    await ask(chat, "guess", BOUND * threads * 4);
    const beyond = await ask(chat, "guess", 20, { "x-request-id": "mine-1" });
    expect(new Set(beyond.statuses)).toEqual(new Set([429]));
    expect(beyond.body).toEqual({
      error: {
        message: "too many wrong keys came from this address",
        type: "rate_limit_error",
        param: null,
        code: "too_many_wrong_keys",
      },
    });
    expect(["x-request-id", "retry-after", "x-should-retry"].map((name) => beyond.last.headers.get(name))).toEqual([
      "mine-1",
      "60",
      "false",
    ]);
    const other = await ask(messages, "guess", 1, { "x-request-id": "mine-2" });
    expect(other.body).toMatchObject({ type: "error", error: { type: "rate_limit_error" }, request_id: "mine-2" });
    expect(other.last.headers.get("request-id")).toBe("mine-2");
    expect((await ask(chat, "guess", 1)).last.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect((await ask(chat, KEY, 3)).statuses).toEqual([200, 200, 200]);
    // Nobody without a key is let in meanwhile either, and other routes are as they were.
    expect((await post(chat, HELLO)).status).toBe(429);
    expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
    expect(await gateway.metric("pointsman_request_errors_total", { code: "too_many_wrong_keys" })).toBeGreaterThan(22);
    expect(gateway.lines().filter(({ request_id: id }) => id === "mine-1" || id === "mine-2")).toEqual([]);
    expect(gateway.lines().filter(({ error }) => error === "invalid_api_key").length).toBeLessThanOrEqual(
      BOUND * threads + 1,
    );
  }, 30_000);
}

test("a wrong token is counted as a wrong key each time, also where it is known to be wrong", async () => {
  await issuer.addKey("k1");
  await using engine = await startEngine();
  const flags = ["--jwt-issuer", issuer.url, "--jwt-audience", "gateway", "--auth-failures-per-minute", String(BOUND)];
  await using gateway = await startProcess(["--worker", engine.url, ...flags]);
  for (let turn = 0; turn < 400 && !(await fetch(`${gateway.url}/readiness`)).ok; turn += 1) await Bun.sleep(25);
  const chat = `${gateway.url}/v1/chat/completions`;
  const wrong = await issuer.sign("k1", {}, { audience: "another" });
  const { statuses } = await ask(chat, wrong, 20);
  expect(statuses.slice(0, BOUND)).toEqual([401, 401, 401, 401, 401]);
  expect(new Set(statuses.slice(BOUND + 1))).toEqual(new Set([429]));
  expect((await ask(chat, await issuer.sign("k1", {}), 2)).statuses).toEqual([200, 200]);
  // Another wrong token is found to be wrong, and counted too.
  expect((await ask(chat, await issuer.sign("k1", {}, { issuer: "http://other" }), 3)).statuses).toEqual([
    429, 429, 429,
  ]);
  expect(gateway.lines().filter(({ error }) => error === "invalid_api_key").length).toBeLessThanOrEqual(BOUND + 1);
}, 30_000);
