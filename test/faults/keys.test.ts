import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { chunk, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { Issuer } from "../support/issuer.ts";
import { startProcess } from "../support/process.ts";
import { CHAT } from "./apis.ts";
import { repeat, tally } from "./ask.ts";
import { eventually, expectSameProcessServes, observe, unseenBy } from "./observe.ts";
import { chat, type FaultGateway, type Served, startFaultGateway } from "./setup.ts";

const ADMIN = { authorization: "Bearer root-key" };
const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
const WRONG = "the API key is missing or wrong";

const folder = mkdtempSync(join(tmpdir(), "pointsman-fault-keys-"));
const store = join(folder, "keys.db");
const issuer = new Issuer();
let gateway: FaultGateway;
let engine: SimulatedEngine;
let served: Served;
beforeAll(async () => {
  await issuer.addKey("k1");
  const config = join(folder, "config.json");
  const keys = [
    { name: "client", key: "client-key" },
    { name: "limited", key: "limited-key", max_concurrent_requests: 2 },
    { name: "paying", key: "paying-key", tokens_per_minute: 2000 },
  ];
  writeFileSync(config, JSON.stringify({ api_keys: keys }));
  const flags = [
    ...["--config", config, "--admin-api-key", "root-key", "--key-store", store, "--auth-failures-per-minute", "0"],
    ...["--jwt-issuer", issuer.url, "--jwt-audience", "gateway", "--threads", "2"],
  ];
  gateway = await startFaultGateway(flags, { call: bearer("client-key"), admin: ADMIN });
  engine = await startEngine({ model: "m" });
  served = await gateway.serve("m", [engine.url]);
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
  issuer[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Told {
  readonly status: number;
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly ms: number;
}

/** Over a connection of its own, so that each thread gets some. */
async function ask(key: string, said: Readonly<Record<string, unknown>> = {}, model = "m"): Promise<Told> {
  const from = performance.now();
  const headers = { ...bearer(key), connection: "close" };
  const response = await post(gateway.url + CHAT.path, chat(model, said), headers);
  const { error } = (await response.json()) as { error?: { code: string; message: string } };
  return { status: response.status, code: error?.code, message: error?.message, ms: performance.now() - from };
}

/** The different statuses of requests with this key on all threads. */
async function statusesOf(key: string): Promise<number[]> {
  const all = await Promise.all(Array.from({ length: 16 }, () => ask(key)));
  return [...new Set(all.map(({ status }) => status))];
}

async function administer(
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; id: string; key: string; error?: { code: string } }> {
  const response = await fetch(gateway.url + path, {
    method,
    headers: { ...ADMIN, "content-type": "application/json" },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const answer = (await response.json()) as { id: string; key: string; error?: { code: string } };
  return { ...answer, status: response.status };
}

const create = (name: string, said: object = {}): ReturnType<typeof administer> =>
  administer("POST", "/keys", { name, ...said });

test("row 160: a key that is cut, longer, of other letters, huge, revoked or rotated away opens nothing, on any thread", async () => {
  const { id, key } = await create("bent");
  expect(await statusesOf(key)).toEqual([200]);
  const bent = [key.slice(0, -1), `${key}x`, key.toUpperCase(), `${key},${key}`, "x".repeat(8000), id, ""];
  await unseenBy(engine, async () => {
    for (const text of bent) {
      const { status, code, message } = await ask(text);
      expect([text.slice(0, 80), status, code]).toEqual([text.slice(0, 80), 401, "invalid_api_key"]);
      expect(message).toStartWith(WRONG);
    }
  });
  const rotated = await administer("POST", `/keys/${id}/rotate`, { grace_secs: 0 });
  expect([await statusesOf(rotated.key), await statusesOf(key)]).toEqual([[200], [401]]);
  await administer("DELETE", `/keys/${id}`);
  expect(await statusesOf(rotated.key)).toEqual([401]);
  observe(
    160,
    `${bent.length} bent keys: 401, 0 requests at the worker; rotated and revoked: 401 on both threads at once`,
  );
});

test("row 160: a key that has expired is told so", async () => {
  const { key } = await create("brief", { expires_in_secs: 1 });
  expect((await ask(key)).status).toBe(200);
  await eventually(async () => (await ask(key)).status === 401, "it has expired");
  expect((await ask(key)).message).toBe("the API key has expired");
});

test("row 161: a key is revoked while its stream runs: the stream ends whole, and the next request is refused", async () => {
  const { promise: revoked, resolve } = Promise.withResolvers<void>();
  await using slow = await startRawEngine(async ({ write }) => {
    write(STREAM_HEAD + chunk(CHAT.delta("one", 0)));
    await revoked;
    write(`${chunk(CHAT.delta("two", 1))}${chunk(CHAT.ending(2))}0\r\n\r\n`);
  });
  await using _slow = await gateway.serve("m161", [slow.url]);
  const { id, key } = await create("streams");
  const response = await post(gateway.url + CHAT.path, chat("m161", { stream: true }), bearer(key));
  await administer("DELETE", `/keys/${id}`);
  expect(await statusesOf(key)).toEqual([401]);
  resolve();
  const text = await response.text();
  expect([response.status, text.includes("two"), text.trimEnd().endsWith("[DONE]")]).toEqual([200, true, true]);
  observe(161, "the stream had all its pieces and `[DONE]`; 16 requests after the change: 401");
});

/** Another process's lock on the file, as SQLite takes it to write. */
function lock(): { release(): void } {
  const other = new Database(store);
  other.run("BEGIN IMMEDIATE");
  return {
    release: () => {
      other.run("COMMIT");
      other.close();
    },
  };
}

test("row 162: another process holds the lock of the key store: requests go on, a change waits for it, and usage is written after", async () => {
  const { key } = await create("counted");
  const held = lock();
  const making = create("late");
  let isMade = false;
  void making.then(() => (isMade = true));
  const from = performance.now();
  const took: number[] = [];
  while (performance.now() - from < 3000) {
    const { status, ms } = await ask(key);
    expect(status).toBe(200);
    took.push(ms);
  }
  expect(isMade).toBe(false);
  held.release();
  expect((await making).status).toBe(201);
  // SQLite itself would have stood still with the whole event loop for as long as the lock was held.
  const slowest = Math.max(...took);
  expect(slowest).toBeLessThan(1500);
  const used = async (): Promise<number> => {
    const response = await fetch(`${gateway.url}/usage?by=key&key=counted`, { headers: ADMIN });
    const { usage } = (await response.json()) as { usage: { requests: number }[] };
    return usage[0]?.requests ?? 0;
  };
  await eventually(async () => (await used()) === took.length, "the usage is written");
  observe(
    162,
    `3 s of lock: ${took.length} × 200, the slowest in ${slowest.toFixed(0)} ms; the change answered 201 after it; all usage is there`,
  );
}, 20_000);

test("row 162: a lock that is not given back: the change is refused after five seconds, and nothing has changed", async () => {
  const held = lock();
  const from = performance.now();
  const { status, error } = await create("never");
  const ms = performance.now() - from;
  held.release();
  expect([status, error?.code]).toEqual([503, "key_store_failed"]);
  expect(ms).toBeWithin(4900, 9000);
  expect((await administer("GET", "/keys/never")).status).toBe(404);
  observe(162, `a lock that stays: 503 \`key_store_failed\` after ${(ms / 1000).toFixed(1)} s`);
}, 20_000);

test("row 163: the file of the key store is away: known keys stay in force, changes are refused, and all is well when it is back", async () => {
  const { key } = await create("known");
  const told = (text: string): number => gateway.lines().filter((line) => line["msg"] === text).length;
  renameSync(store, `${store}.away`);
  await eventually(() => told("the key store cannot be read; known keys stay in force") === 1, "the log says so");
  const { status, error } = await create("lost");
  expect([status, error?.code]).toEqual([503, "key_store_failed"]);
  expect(await statusesOf(key)).toEqual([200]);
  // Another file at its place is not taken for it.
  writeFileSync(store, "");
  expect((await create("lost")).status).toBe(503);
  renameSync(`${store}.away`, store);
  await eventually(() => told("the key store is there again") === 1, "the log says that it is back");
  expect((await create("lost")).status).toBe(201);
  expect(told("the key store cannot be read; known keys stay in force")).toBe(1);
  observe(163, "2 changes: 503; 16 requests with a known key: 200; one line at its loss, one at its return");
});

describe("a key with limits", () => {
  test("row 165: whose clients leave in the middle of streams has its places back", async () => {
    await using endless = await startRawEngine(({ write }) => write(STREAM_HEAD + chunk(CHAT.delta("one", 0))));
    await using _endless = await gateway.serve("m165", [endless.url]);
    let left = 0;
    await repeat(40, 2, async () => {
      const leaving = new AbortController();
      const response = await fetch(gateway.url + CHAT.path, {
        method: "POST",
        headers: { ...bearer("limited-key"), "content-type": "application/json", connection: "close" },
        body: JSON.stringify(chat("m165", { stream: true, max_tokens: 1 })),
        signal: leaving.signal,
      });
      if (response.status === 200) left += 1;
      await response.body?.getReader().read();
      leaving.abort();
      // The place is free when the gateway has seen that the client is gone.
      await Bun.sleep(20);
    });
    expect(left).toBeGreaterThan(2);
    await eventually(async () => (await ask("limited-key", { max_tokens: 1 })).status === 200, "a place is free");
    const both = await Promise.all([1, 2].map(() => ask("limited-key", { max_tokens: 1 })));
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    observe(165, `${left} clients left their streams: both places of 2 are free`);
  });

  test("row 165: whose workers fail has its tokens back", async () => {
    await using broken = await startRawEngine(({ reset }) => reset());
    await using _broken = await gateway.serve("m165-broken", [broken.url]);
    const answers = await repeat(8, 1, () => ask("paying-key", { max_tokens: 1500 }, "m165-broken"));
    const counts = tally(answers.map(({ status }) => status));
    expect(counts[429]).toBeUndefined();
    expect((await ask("paying-key", { max_tokens: 1500 })).status).toBe(200);
    observe(
      165,
      `8 requests that reserve 1,500 of 2,000 tokens and whose worker resets: ${JSON.stringify(counts)}, none of them 429`,
    );
  });
});

test("row 116: tokens that are bent, forged, early, late, for others or huge open nothing, and no worker hears of them", async () => {
  const good = await issuer.sign("k1", {});
  expect(await statusesOf(good)).toEqual([200]);
  const [head = "", claims = "", signature = ""] = good.split(".");
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const publicKey = JSON.stringify(await issuer.keySet());
  const forged = await new SignJWT({ sub: "eve" })
    .setProtectedHeader({ alg: "HS256", kid: "k1" })
    .setIssuer(issuer.url)
    .setAudience("gateway")
    .setExpirationTime("5 minutes")
    .sign(new TextEncoder().encode(publicKey));
  const tokens: Readonly<Record<string, string>> = {
    "without an algorithm": `${encoded({ alg: "none" })}.${claims}.${signature}`,
    "without a signature": `${encoded({ alg: "none" })}.${claims}.`,
    "signed with the public key as a shared secret": forged,
    "with a key of its own in its head": `${encoded({ alg: "ES256", jwk: { kty: "EC" } })}.${claims}.${signature}`,
    "with a demand that nobody knows": `${encoded({ alg: "ES256", kid: "k1", crit: ["exp2"], exp2: 1 })}.${claims}.${signature}`,
    "with other claims": `${head}.${encoded({ sub: "root", iss: issuer.url, aud: "gateway", exp: 4e9 })}.${signature}`,
    "cut in its signature": good.slice(0, -8),
    "cut in its claims": `${head}.${claims.slice(0, -5)}.${signature}`,
    "for another service": await issuer.sign("k1", {}, { audience: "another" }),
    "of another issuer": await issuer.sign("k1", {}, { issuer: "https://evil.example" }),
    "that has expired": await issuer.sign("k1", {}, { expires: "-2 minutes" }),
    "that is not valid yet": await issuer.sign("k1", {}, { notBefore: "5 minutes" }),
    "without a name": await issuer.sign("k1", { sub: undefined }),
    "with a name of control characters": await issuer.sign("k1", { sub: "a\nb" }),
    "of 15 kB": await issuer.sign("k1", { filler: "x".repeat(11_000) }),
  };
  await unseenBy(engine, async () => {
    for (const [name, token] of Object.entries(tokens)) {
      const { status, code } = await ask(token);
      expect([name, status, code]).toEqual([name, 401, "invalid_api_key"]);
    }
  });
  expect(gateway.output).not.toContain(signature);
  expect(await statusesOf(good)).toEqual([200]);
  observe(116, `${Object.keys(tokens).length} kinds of tokens: 401 \`invalid_api_key\`, 0 requests at the worker`);
});

test("row 117: an issuer that is away: tokens of its known keys are taken", async () => {
  issuer.isAway = true;
  expect(await statusesOf(await issuer.sign("k1", { sub: "bob" }))).toEqual([200]);
  issuer.isAway = false;
});

test("row 117: an issuer that lies from the start: tokens are told so within the bounds, and keys are taken", async () => {
  const lies: Readonly<Record<string, () => Response | Promise<Response>>> = {
    "an error": () => new Response("no", { status: 500 }),
    "a page": () => new Response("<html></html>", { headers: { "content-type": "text/html" } }),
    "cut JSON": () => new Response('{"keys":[{"kty":"EC"'),
    "no keys": () => Response.json({ keys: [] }),
    "10,000 keys": () => Response.json({ keys: Array.from({ length: 10_000 }, () => ({ kty: "EC" })) }),
    "8 MB": () => new Response("[".repeat(8_000_000)),
    "a redirect": () => Response.redirect(`${issuer.url}/elsewhere`),
    silence: () => new Promise<Response>(() => undefined),
  };
  using liar = new Issuer();
  await liar.addKey("k1");
  const token = await liar.sign("k1", {});
  const flags = ["--jwt-issuer", liar.url, "--jwt-audience", "gateway", "--api-key", "own-key", "--worker", engine.url];
  for (const [name, lie] of Object.entries(lies)) {
    liar.lie = lie;
    await using other = await startProcess(flags);
    await eventually(async () => (await fetch(`${other.url}/readiness`)).ok, "the worker is ready");
    const send = async (key: string): Promise<number> =>
      (await post(other.url + CHAT.path, chat("m"), bearer(key))).status;
    const from = performance.now();
    expect([name, await send(token), await send("own-key")]).toEqual([name, 503, 200]);
    expect([name, performance.now() - from < 8000]).toEqual([name, true]);
    const isTold = (): boolean => other.lines().some(({ msg }) => String(msg).startsWith("the issuer's keys cannot"));
    await eventually(isTold, "the log says so");
  }
  observe(
    117,
    `${Object.keys(lies).length} lies: 503 to tokens, 200 to keys, one line each; while it is away, tokens of known keys are 200`,
  );
}, 60_000);

test("row 164: the file of the key store is damaged: known keys stay in force, and changes are refused", async () => {
  const { key } = await create("before");
  // What SQLite has in its log and in its memory would hide the damage.
  const other = new Database(store);
  other.run("UPDATE keys SET priority = 'low' WHERE name = 'before'");
  other.run("PRAGMA wal_checkpoint(TRUNCATE)");
  truncateSync(store, 100);
  other.close();
  const { status, error } = await create("after");
  expect([status, error?.code]).toEqual([503, "key_store_failed"]);
  expect(await statusesOf(key)).toEqual([200]);
  observe(164, "cut to 100 bytes: a change is 503 `key_store_failed`, 16 requests with a known key are 200");
});
