import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";
import { freePort } from "./free-port.ts";
import { expectSameProcessServes, observe, openaiError, quantile, unseenBy } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";
import { exchange, head, jsonPost, openWire } from "./wire.ts";

const CHAT = "/v1/chat/completions";
const KEY = "canary-serving-key-7f3a";
const ADMIN_KEY = "canary-admin-key-5d11";
const WORKER_KEY = "canary-worker-key-91bc";
const OTHER_WORKER_KEY = "canary-other-worker-key-02de";
const BEARER = { authorization: `Bearer ${KEY}` };
const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` };

let gateway: FaultGateway;
let engine: SimulatedEngine;
let other: SimulatedEngine;
beforeAll(async () => {
  engine = await startEngine({ model: "m", apiKey: WORKER_KEY });
  other = await startEngine({ model: "other", apiKey: OTHER_WORKER_KEY });
  const flags = [
    ["--log-level", "trace"],
    ["--api-key", KEY],
    ["--admin-api-key", ADMIN_KEY],
  ].flat();
  gateway = await startFaultGateway(flags, { call: BEARER, admin: ADMIN });
  await addWorker({ url: engine.url, model_id: "m", api_key: WORKER_KEY });
  await addWorker({ url: other.url, model_id: "other", api_key: OTHER_WORKER_KEY });
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
  await Promise.all([engine.stop(), other.stop()]);
});

async function addWorker(spec: object): Promise<void> {
  const added = await post(`${gateway.url}/workers?wait=true`, spec, ADMIN);
  expect(await added.json()).toMatchObject({ status: "ready" });
}

describe("credentials that are bent", () => {
  const refused: readonly [name: string, fields: readonly string[]][] = [
    ["no key", []],
    ["no key, though Connection names the header", ["connection: close, authorization"]],
    ["another key", ["authorization: Bearer x"]],
    ["the beginning of the key", [`authorization: Bearer ${KEY.slice(0, -1)}`]],
    ["the key and more", [`authorization: Bearer ${KEY}x`]],
    ["the key in other case", [`authorization: Bearer ${KEY.toUpperCase()}`]],
    ["the key as Basic", [`authorization: Basic ${KEY}`]],
    ["the key without a scheme", [`authorization: ${KEY}`]],
    ["the key as a cookie", [`cookie: authorization=Bearer ${KEY}`]],
    ["our key and the admin's", [`authorization: Bearer ${KEY}`, `x-api-key: ${ADMIN_KEY}`]],
    ["two Authorizations", [`authorization: Bearer ${KEY}`, "authorization: Bearer x"]],
    ["a worker's key", [`authorization: Bearer ${WORKER_KEY}`]],
    ["a key of 15 kB", [`authorization: Bearer ${"a".repeat(15_000)}`]],
    ["a quote that ends a query", ["authorization: Bearer ' OR 1=1 --"]],
    ["an empty key", ["authorization: Bearer "]],
  ];
  for (const [name, fields] of refused) {
    test(`rows 72, 115: ${name}: 401 everywhere, always in the same words`, async () => {
      const bodies = new Set<string>();
      for (const bytes of [
        jsonPost(CHAT, chat("m"), fields),
        head("GET /workers", fields),
        head("GET /v1/models", fields),
      ]) {
        const [answer] = await unseenBy(engine, () => exchange(gateway.url, bytes));
        expect([answer?.status, answer?.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
        expect(openaiError(answer?.body ?? "").code).toBe("invalid_api_key");
        bodies.add(answer?.body ?? "");
      }
      const words = [...bodies].map((body) => openaiError(body).message);
      expect(words).toEqual([expect.stringContaining("`api_key`"), expect.stringContaining("`admin_api_key`")]);
      observe(115, `${refused.length} forms: 401, two wordings (serving, admin)`);
    });
  }

  test("row 72: Connection that names Authorization does not take the key away, and the worker sees neither", async () => {
    const fields = [`authorization: Bearer ${KEY}`, "connection: close, authorization, x-request-id", "x-hop: 1"];
    const [answer] = await exchange(gateway.url, jsonPost(CHAT, chat("m"), fields));
    expect(answer?.status).toBe(200);
    expect(engine.requests.at(-1)?.headers["authorization"]).toBe(`Bearer ${WORKER_KEY}`);
    expect(engine.requests.at(-1)?.headers["x-hop"]).toBeUndefined();
    observe(72, "without a key 401; with it 200, and the worker sees its own key only");
  });

  test("row 115: the key is taken as Bearer, x-api-key, api-key, and beside a credential of another service", async () => {
    for (const headers of [
      BEARER,
      { "x-api-key": KEY },
      { "api-key": KEY },
      { ...BEARER, "x-api-key": KEY },
      { ...BEARER, "x-api-key": "of-another" },
      { authorization: "Bearer session-of-another", "x-api-key": KEY },
    ]) {
      expect((await post(gateway.url + CHAT, chat("m"), headers)).status).toBe(200);
    }
  });
});

describe("the admin plane on a port of its own", () => {
  let divided: GatewayProcess | undefined;
  let adminUrl = "";
  const start = async (): Promise<GatewayProcess> => {
    if (divided) return divided;
    const port = freePort();
    adminUrl = `http://127.0.0.1:${port}`;
    const flags = ["--api-key", KEY, "--admin-port", String(port), "--admin-api-key", ADMIN_KEY];
    divided = await startProcess(["--worker", engine.url, ...flags]);
    return divided;
  };
  afterAll(async () => divided?.[Symbol.asyncDispose]());
  const statusOf = async (url: string, headers: Record<string, string> = {}): Promise<number> =>
    (await fetch(`${url}/workers`, { headers })).status;

  test("row 115: there the admin key opens it, no key is 401, and the serving key never opens it", async () => {
    await start();
    expect(await statusOf(adminUrl, ADMIN)).toBe(200);
    expect(await statusOf(adminUrl)).toBe(401);
    expect(await statusOf(adminUrl, { authorization: "Bearer x" })).toBe(401);
    expect(await statusOf(adminUrl, BEARER)).toBe(403);
    expect(await statusOf(adminUrl, { authorization: `Bearer ${ADMIN_KEY}`, "x-api-key": KEY })).toBe(401);
    observe(115, "on the admin port: admin key 200, none 401, wrong 401, serving key 403, two that differ 401");
  });

  test("row 115: its paths are unknown on the serving port, whoever asks", async () => {
    const { url } = await start();
    for (const headers of [BEARER, ADMIN, {}]) {
      for (const [method, path] of [
        ["GET", "/workers"],
        ["POST", "/workers"],
        ["DELETE", "/workers/x"],
        ["POST", "/add_worker"],
        ["POST", "/flush_cache"],
      ] as const) {
        const { status } = await fetch(url + path, { method, headers });
        expect([method, path, status]).toEqual([method, path, 404]);
      }
    }
  });

  test("row 115: the admin key is no key for serving, and there is no serving on the admin port", async () => {
    const { url } = await start();
    expect((await post(url + CHAT, chat("m"), ADMIN)).status).toBeOneOf([401, 403]);
    expect((await post(adminUrl + CHAT, chat("m"), BEARER)).status).toBeOneOf([401, 403, 404]);
  });
});

describe("what a worker gets of a client's credentials", () => {
  const fields = [
    `authorization: Bearer ${KEY}`,
    `x-api-key: ${KEY}`,
    "cookie: session=canary-cookie",
    "x-forwarded-for: 10.1.2.3",
    "x-forwarded-host: canary-host",
    "forwarded: for=10.1.2.3",
    "x-real-ip: 10.1.2.3",
    "proxy-authorization: Basic canary-proxy",
    "x-goog-api-key: canary-goog",
    "openai-organization: canary-org",
  ];
  test("row 119: none of them; and each worker its own key, also when it is asked what it serves", async () => {
    for (const model of ["m", "other"]) {
      for (const stream of [false, true]) {
        const [answer] = await exchange(
          gateway.url,
          jsonPost(`${CHAT}?key=canary-query`, chat(model, { stream }), fields),
        );
        expect(answer?.status).toBe(200);
      }
    }
    const at = (worker: SimulatedEngine): string =>
      JSON.stringify(worker.requests.map(({ headers, path }) => [path, headers]));
    for (const [worker, own, foreign] of [
      [engine, WORKER_KEY, OTHER_WORKER_KEY],
      [other, OTHER_WORKER_KEY, WORKER_KEY],
    ] as const) {
      const seen = at(worker);
      for (const canary of [
        KEY,
        "canary-cookie",
        "10.1.2.3",
        "canary-host",
        "canary-proxy",
        "canary-goog",
        "canary-query",
        foreign,
      ]) {
        expect([canary, seen.includes(canary)]).toEqual([canary, false]);
      }
      expect(worker.requests.at(-1)?.headers["authorization"]).toBe(`Bearer ${own}`);
    }
  });

  test("row 119: a retry on another worker goes with that one's key", async () => {
    const keys: (string | undefined)[] = [];
    const seen = ({ headers }: { headers: Readonly<Record<string, string>> }): Response | undefined => {
      keys.push(headers["authorization"]);
      return keys.length === 1 ? new Response("busy", { status: 503 }) : undefined;
    };
    await using one = await startEngine({ model: "m119", respond: seen });
    await using two = await startEngine({ model: "m119", respond: seen });
    await addWorker({ url: one.url, model_id: "m119", api_key: "canary-one" });
    await addWorker({ url: two.url, model_id: "m119", api_key: "canary-two" });
    expect((await post(gateway.url + CHAT, chat("m119"), BEARER)).status).toBe(200);
    expect(new Set(keys)).toEqual(new Set(["Bearer canary-one", "Bearer canary-two"]));
    observe(119, "0 of 10 headers of the client's at the worker; each attempt with its own worker's key");
  });
});

test("row 83: neither keys nor what was said stands in logs, metrics, admin answers or errors, at any level", async () => {
  const said = [
    "canary-prompt",
    "canary-tool-arg",
    "canary-image",
    "canary-system",
    "canary-user-id",
    "canary-metadata",
  ];
  const request = (model: string, extra: object = {}): object =>
    chat(model, {
      user: "canary-user-id",
      metadata: { note: "canary-metadata" },
      messages: [
        { role: "system", content: "canary-system" },
        {
          role: "user",
          content: [
            { type: "text", text: "canary-prompt" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${btoa("canary-image")}canary-image` } },
          ],
        },
        {
          role: "assistant",
          tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: '{"a":"canary-tool-arg"}' } }],
        },
      ],
      ...extra,
    });
  let turn = 0;
  await using moody = await startEngine({
    model: "m83",
    respond: ({ body }) => {
      turn += 1;
      // Engines like to print what they could not do.
      if (turn === 1) return Response.json({ error: { message: body } }, { status: 500 });
      if (turn === 2) return new Response(body, { status: 200, headers: { "content-type": "text/html" } });
      if (turn === 3) return new Response(body, { status: 401 });
      if (turn === 4) return new Response(body, { headers: { "content-type": "application/json" } });
      return new Response(`data: ${body.slice(0, 20)}`, { headers: { "content-type": "text/event-stream" } });
    },
  });
  await addWorker({ url: moody.url, model_id: "m83", api_key: WORKER_KEY });
  const errors: string[] = [];
  const ids: string[] = [];
  const send = async (body: object | string, headers: Record<string, string> = BEARER): Promise<void> => {
    const id = `row-83-${ids.length}`;
    ids.push(id);
    const response = await post(gateway.url + CHAT, body, { "x-request-id": id, ...headers });
    const text = await response.text();
    if (!response.ok) errors.push(text);
  };
  await send(request("m"));
  await send(request("m", { stream: true }));
  for (let count = 0; count < 3; count += 1) await send(request("m83"));
  await send(request("m83", { stream: true }));
  await send(request("m83", { stream: true }));
  await send(request("nobody"));
  await send(`${JSON.stringify(request("m"))} canary-prompt`);
  await send(request("m", { stream: "canary-prompt" }));
  await send(request("m"), { authorization: `Bearer ${KEY}-wrong` });
  await send(request("m"), { "x-api-key": `${KEY}-wrong` });
  for (const id of ids) await gateway.accessLine(id);

  const get = async (path: string): Promise<string> => (await fetch(gateway.url + path, { headers: ADMIN })).text();
  const pages = [
    "/metrics",
    "/workers",
    "/list_workers",
    "/policies",
    "/get_loads",
    "/get_server_info",
    "/v1/models",
    "/readiness",
  ];
  const printed = (await Promise.all(pages.map(get))).join("\n") + gateway.output + errors.join("\n");
  expect(errors.length).toBeGreaterThanOrEqual(8);
  for (const canary of [
    KEY,
    ADMIN_KEY,
    WORKER_KEY,
    OTHER_WORKER_KEY,
    "Bearer",
    btoa(KEY),
    ...said,
    btoa("canary-image"),
  ]) {
    expect([canary, printed.includes(canary)]).toEqual([canary, false]);
  }
  observe(83, `0 hits in ${(printed.length / 1000).toFixed(0)} kB of logs at trace, metrics, admin answers and errors`);
});

test("row 83: nor in what the program says of its configuration", async () => {
  const secrets = { POINTSMAN_API_KEY: KEY, POINTSMAN_ADMIN_API_KEY: ADMIN_KEY };
  const child = Bun.spawn([process.execPath, `${import.meta.dir}/../../src/main.ts`, "check", "--worker", engine.url], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...secrets },
  });
  const said = (await child.stdout.text()) + (await child.stderr.text());
  expect([await child.exited, said.includes("redacted"), said.includes(KEY) || said.includes(ADMIN_KEY)]).toEqual([
    0,
    true,
    false,
  ]);
});

test("row 85: ten thousand unknown models, users and paths make no series of their own", async () => {
  const CALLS = 10_000;
  const SENDERS = 8;
  const series = async (): Promise<{ lines: number; ms: number; text: string }> => {
    const from = performance.now();
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    const ms = performance.now() - from;
    return { lines: text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length, ms, text };
  };
  await post(gateway.url + CHAT, chat("unknown"), BEARER);
  const before = await series();
  await Promise.all(
    Array.from({ length: SENDERS }, async (_, sender) => {
      using wire = await openWire(gateway.url);
      for (let call = 1; call <= CALLS / SENDERS; call += 1) {
        const name = `made-up-${sender}-${call}`;
        const key = call % 2 === 0 ? KEY : name;
        await wire.write(
          jsonPost(CHAT, chat(name, { user: name }), [`authorization: Bearer ${key}`, `x-user-id: ${name}`]),
        );
        await wire.write(head(`GET /${name}`, []));
        expect((await wire.answers(2)).length).toBe(2);
        wire.forget();
      }
    }),
  );
  const after = await series();
  expect(after.lines - before.lines).toBeLessThanOrEqual(50);
  expect(after.text).not.toContain("made-up-");
  expect(after.ms).toBeLessThan(100);
  observe(
    85,
    `${2 * CALLS} requests: ${after.lines - before.lines} series more, a scrape in ${after.ms.toFixed(1)} ms`,
  );
  expect(await gateway.metric("pointsman_requests_total", { model: "other", status: "404" })).toBeGreaterThanOrEqual(
    CALLS / 2,
  );
});

test("row 118: a key that begins right takes no other time than one that does not", async () => {
  const SAMPLES = 40_000;
  const WARM_UP = 2000;
  const right = `${KEY.slice(0, -1)}!`;
  const wrong = `!${KEY.slice(1)}`;
  const bytesOf = (key: string): string => head("GET /v1/models", [`authorization: Bearer ${key}`]);
  const requests = [bytesOf(right), bytesOf(wrong)] as const;
  const times: [number[], number[]] = [[], []];
  using wire = await openWire(gateway.url);
  for (let sample = 0; sample < SAMPLES + WARM_UP; sample += 1) {
    // In random order, so that what drifts falls on both.
    const which = Math.random() < 0.5 ? 0 : 1;
    const from = performance.now();
    void wire.write(requests[which]);
    await wire.more();
    const took = performance.now() - from;
    if (sample >= WARM_UP) times[which].push(took);
    wire.forget();
  }
  // What the machine did meanwhile is in the slowest twentieth.
  const trimmed = times.map((list) => {
    const bound = quantile(list, 0.95);
    return list.filter((took) => took <= bound);
  });
  const t = welch(trimmed[0] ?? [], trimmed[1] ?? []);
  expect(Math.abs(t)).toBeLessThan(4.5);
  observe(118, `t = ${t.toFixed(2)} over ${SAMPLES} samples`);
});

/** Welch's t of two samples. */
function welch(a: readonly number[], b: readonly number[]): number {
  const facts = [a, b].map((list) => {
    const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
    const variance = list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (list.length - 1);
    return { mean, error: variance / list.length };
  });
  const [one, two] = facts;
  return one && two ? (one.mean - two.mean) / Math.sqrt(one.error + two.error) : Number.NaN;
}
