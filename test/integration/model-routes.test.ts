import { describe, expect, test } from "bun:test";
import { type Config, configSchema, workerSchema } from "../../src/config/schema.ts";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { deltaChunk, startEngine, startHeldEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { post, startGateway, type TestGateway } from "../support/gateway.ts";
import { startGrpcPd } from "../support/grpc-pd.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { metricOf, startPdGateway } from "../support/pd-gateway.ts";
import { TINY_MODEL, writeTinyModel } from "../support/tiny-model.ts";

const CHAT = "/v1/chat/completions";
const MESSAGES = [{ role: "user", content: "Where does the train go?" }];

/** Routes as the file has them, in camel case. */
function routed(modelRoutes: readonly object[], more: Partial<Config> = {}): Partial<Config> {
  return { modelRoutes: configSchema.shape.modelRoutes.parse(modelRoutes), ...more };
}

const PUBLIC = routed([{ model: "gpt-4", targets: ["sim-1"] }]);

/** Every name that the JSON of an answer or of the events of a stream has for the model. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/"model": ?"([^"]*)"/g)].map(([, name = ""]) => name);
}

function count(gateway: TestGateway, route: string, model: string, outcome: string): Promise<number> {
  return metricOf(gateway, "pointsman_model_route_requests_total", { route, model, outcome });
}

/** A request on each route, and whether its answer has the model's name. */
const REQUESTS: readonly (readonly [path: string, body: object, isNamed: boolean])[] = [
  [CHAT, { messages: MESSAGES }, true],
  ["/v1/completions", { prompt: "Where?" }, true],
  ["/v1/responses", { input: "Where?" }, true],
  ["/v1/messages", { max_tokens: 8, messages: MESSAGES }, true],
  ["/generate", { text: "Where?" }, false],
  ["/v1/embeddings", { input: "Where?" }, true],
  ["/v1/rerank", { query: "Where?", documents: ["here", "there"] }, true],
  ["/v1/score", { text_1: "Where?", text_2: "here" }, true],
];

describe("over HTTP each route is asked for the model, and answers under the client's name", () => {
  for (const [path, body, isNamed] of REQUESTS) {
    test(path, async () => {
      await using engine = await startEngine();
      await using gateway = await startGateway({ workers: [engine.url], config: PUBLIC });
      const line = gateway.nextLine();
      const response = await post(`${gateway.url}${path}`, { model: "gpt-4", ...body });
      const text = await response.text();
      expect([response.status, response.headers.get("x-pointsman-model")]).toEqual([200, "sim-1"]);
      if (isNamed) expect(new Set(namesIn(text))).toEqual(new Set(["gpt-4"]));
      expect(text).not.toContain("sim-1");
      const asked = JSON.parse(engine.requests.at(-1)?.body ?? "") as { model: string };
      expect(asked).toEqual({ ...body, model: "sim-1" });
      const { model, route } = await line;
      expect([model, route]).toEqual(["sim-1", "gpt-4"]);
    });
  }

  const STREAMS = REQUESTS.filter(([path]) => /chat|completions|responses|messages|generate/.test(path));
  for (const [path, body, isNamed] of STREAMS) {
    test(`${path}, streamed`, async () => {
      await using engine = await startEngine({ says: 'the night mail "model":"sim-1" crossing the border' });
      await using gateway = await startGateway({ workers: [engine.url], config: PUBLIC });
      const asked = { ...body, stream: true };
      const response = await post(`${gateway.url}${path}`, { model: "gpt-4", ...asked });
      const direct = await (await post(`${gateway.url}${path}`, { model: "sim-1", ...asked })).text();
      const text = await response.text();
      expect(response.headers.get("x-pointsman-model")).toBe("sim-1");
      const named = namesIn(direct);
      expect(namesIn(text)).toEqual(named.map(() => "gpt-4"));
      expect(named.length > 0).toBe(isNamed);
      const strip = (sse: string): string =>
        sse.replace(/"(id|created|created_at|item_id|[a-z_]*cached[a-z_]*|e2e_latency)":("[^"]*"|[\d.]+)/g, "");
      expect(strip(text)).toBe(strip(direct).replaceAll('"model":"sim-1"', '"model":"gpt-4"'));
    });
  }
});

test("over gRPC the answer has the client's name, and the model's tokenizer is used", async () => {
  const tiny = await writeTinyModel();
  await using engine = await startGrpcEngine({
    kind: "vllm",
    model: TINY_MODEL,
    tokenizer: tiny.tokenizer,
    tokenizerPath: tiny.path,
  });
  const config = routed([{ model: "gpt-4", targets: [TINY_MODEL] }]);
  await using gateway = await startGateway({ workers: [engine.url], config });
  for (const body of [{ stream: false }, { stream: true }]) {
    const response = await post(`${gateway.url}${CHAT}`, { model: "gpt-4", messages: MESSAGES, ...body });
    const names = namesIn(await response.text());
    expect([response.status, ...new Set(names)]).toEqual([200, "gpt-4"]);
  }
  const counted = await post(`${gateway.url}/tokenize`, { model: "gpt-4", prompt: "the night mail" });
  expect(counted.status).toBe(200);
});

describe("with prefill and decode apart", () => {
  test("over HTTP both workers are asked for the model, and decode's answer has the client's name", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    await using gateway = await startPdGateway([["nixl", fleet]], { config: PUBLIC });
    for (const stream of [false, true]) {
      const response = await post(`${gateway.url}${CHAT}`, { model: "gpt-4", messages: MESSAGES, stream });
      expect([response.status, ...new Set(namesIn(await response.text()))]).toEqual([200, "gpt-4"]);
    }
    for (const engine of [...fleet.prefills, ...fleet.decodes]) {
      for (const { body } of engine.requests) expect((JSON.parse(body) as { model: string }).model).toBe("sim-1");
    }
    expect(fleet.violations).toEqual([]);
  });

  test("over gRPC", async () => {
    const config = routed([{ model: "gpt-4", targets: [TINY_MODEL] }]);
    await using setup = await startGrpcPd({ kind: "sglang", config });
    const response = await post(`${setup.gateway.url}${CHAT}`, { model: "gpt-4", messages: MESSAGES, stream: true });
    expect([response.status, ...new Set(namesIn(await response.text()))]).toEqual([200, "gpt-4"]);
  });
});

test("with many models a route leads to its own, and a request without a model is refused as before", async () => {
  await using llama = await startEngine({ model: "llama" });
  await using qwen = await startEngine({ model: "qwen" });
  const config = routed([{ model: "gpt-4", targets: ["qwen"] }], { enableIgw: true, modelAliases: ["gpt-3=llama"] });
  await using gateway = await startGateway({ workers: [llama.url, qwen.url], config });
  for (const model of ["gpt-4", "gpt-3", "qwen"]) {
    expect((await post(`${gateway.url}${CHAT}`, { model, messages: MESSAGES })).status).toBe(200);
  }
  expect([llama.requests.length, qwen.requests.length]).toEqual([1, 2]);
  expect((await post(`${gateway.url}${CHAT}`, { messages: MESSAGES })).status).toBe(400);
});

describe("the listing of models", () => {
  test("has the routes whose models are served, with the smallest length, and not those that are hidden", async () => {
    await using long = await startEngine({ model: "long", maxModelLen: 8192 });
    await using short = await startEngine({ model: "short", maxModelLen: 4096 });
    const config = routed([
      { model: "gpt-4", targets: ["long", "short"] },
      { model: "gpt-5", targets: ["nobody"], fallbacks: ["long"] },
      { model: "gpt-6", targets: ["nobody"] },
      { model: "secret", targets: ["long"], listed: false },
    ]);
    await using gateway = await startGateway({ workers: [long.url, short.url], config });
    const list = (await (await fetch(`${gateway.url}/v1/models`)).json()) as {
      data: { id: string; max_model_len: number }[];
    };
    expect(list.data.map(({ id, max_model_len }) => [id, max_model_len])).toEqual([
      ["gpt-4", 4096],
      ["gpt-5", 8192],
      ["long", 8192],
      ["short", 4096],
    ]);
    expect((await fetch(`${gateway.url}/v1/models/secret`)).status).toBe(200);
    expect((await fetch(`${gateway.url}/v1/models/gpt-6`)).status).toBe(404);
  });
});

describe("a canary", () => {
  test("keeps a session, takes its share of the others, and those that ask for it", async () => {
    await using stable = await startEngine({ model: "v1" });
    await using canary = await startEngine({ model: "v2" });
    const match = { header: "x-canary", value: "always" };
    const config = routed([{ model: "llama", targets: ["v1", { model: "v2", canaryPercent: 20, match }] }]);
    await using gateway = await startGateway({ workers: [stable.url, canary.url], config });
    const ask = async (headers: Record<string, string>): Promise<string | null> => {
      const response = await post(`${gateway.url}${CHAT}`, { model: "llama", messages: MESSAGES }, headers);
      await response.text();
      return response.headers.get("x-pointsman-model");
    };
    for (let index = 0; index < 30; index += 1) {
      const headers = { "x-session-id": `session-${index}` };
      const first = await ask(headers);
      expect([await ask(headers), await ask(headers)]).toEqual([first, first]);
    }
    // Of 30 sessions all are on one side with a chance of 1 in 800.
    expect([stable, canary].every(({ requests }) => requests.length > 0)).toBe(true);
    expect(await ask({ "x-canary": "always" })).toBe("v2");
    const taken = await count(gateway, "llama", "v2", "answered");
    expect((await count(gateway, "llama", "v1", "answered")) + taken).toBe(91);
  });

  test("may be given to the client of one key", async () => {
    await using stable = await startEngine({ model: "v1" });
    await using canary = await startEngine({ model: "v2" });
    const apiKeys = configSchema.shape.apiKeys.parse([
      { name: "tests", key: "key-of-tests" },
      { name: "shop", key: "key-of-shop" },
    ]);
    const config = routed([{ model: "llama", targets: ["v1", { model: "v2", match: { apiKey: "tests" } }] }], {
      apiKeys,
    });
    await using gateway = await startGateway({ workers: [stable.url, canary.url], config });
    for (const name of ["tests", "shop", "tests"]) {
      const headers = { authorization: `Bearer key-of-${name}` };
      await post(`${gateway.url}${CHAT}`, { model: "llama", messages: MESSAGES }, headers);
    }
    expect([stable.requests.length, canary.requests.length]).toEqual([1, 2]);
  });
});

describe("a fallback", () => {
  const config = routed([{ model: "gpt-4", targets: ["big"], fallbacks: ["middle", "small"] }]);
  const ask = ({ url }: TestGateway, more: object = {}): Promise<Response> =>
    post(`${url}${CHAT}`, { model: "gpt-4", messages: MESSAGES, ...more });
  const failing = (status: number): (() => Response) => {
    return () => Response.json({ error: { message: "not so", type: "x", code: null } }, { status });
  };

  for (const stream of [false, true]) {
    test(`is asked in its order where no worker has the model${stream ? ", streamed" : ""}`, async () => {
      await using small = await startEngine({ model: "small" });
      await using gateway = await startGateway({ workers: [small.url], config });
      const line = gateway.nextLine();
      const response = await ask(gateway, { stream });
      expect([response.status, new Set(namesIn(await response.text()))]).toEqual([200, new Set(["gpt-4"])]);
      expect(await line).toMatchObject({
        route: "gpt-4",
        model: "small",
        failed_models: [
          { model: "big", code: "model_not_found" },
          { model: "middle", code: "model_not_found" },
        ],
      });
      expect(await count(gateway, "gpt-4", "big", "passed_on")).toBe(1);
      expect(await count(gateway, "gpt-4", "small", "answered")).toBe(1);
    });
  }

  for (const status of [429, 500, 502, 503, 401, 404]) {
    test(`is asked after ${status}`, async () => {
      await using big = await startEngine({ model: "big", respond: failing(status) });
      await using middle = await startEngine({ model: "middle" });
      await using gateway = await startGateway({ workers: [big.url, middle.url], config });
      const response = await ask(gateway);
      expect([response.status, response.headers.get("x-pointsman-model")]).toEqual([200, "middle"]);
      expect([big.requests.length, middle.requests.length]).toEqual([1, 1]);
    });
  }

  for (const status of [400, 413, 422]) {
    test(`is not asked after ${status}, which is the client's`, async () => {
      await using big = await startEngine({ model: "big", respond: failing(status) });
      await using middle = await startEngine({ model: "middle" });
      await using gateway = await startGateway({ workers: [big.url, middle.url], config });
      expect((await ask(gateway)).status).toBe(status);
      expect(middle.requests.length).toBe(0);
      expect(await count(gateway, "gpt-4", "big", "failed")).toBe(1);
    });
  }

  test("is asked where the worker hangs up before its first byte, and not after it", async () => {
    await using big = await startRawEngine(({ reset }) => reset());
    await using middle = await startEngine({ model: "middle" });
    const workers = [big.url, middle.url];
    const own = routed([{ model: "gpt-4", targets: ["raw"], fallbacks: ["middle"] }]);
    await using gateway = await startGateway({ workers, config: own });
    expect((await ask(gateway, { stream: true })).headers.get("x-pointsman-model")).toBe("middle");

    await using late = await startRawEngine((exchange) => {
      exchange.write(STREAM_HEAD + deltaChunk("one"));
      setTimeout(() => exchange.reset(), 20);
    });
    await using second = await startGateway({ workers: [late.url, middle.url], config: own });
    const asked = middle.requests.length;
    const text = await (await ask(second, { stream: true })).text();
    expect(text).toContain("upstream_reset");
    expect([namesIn(text), middle.requests.length]).toEqual([["gpt-4"], asked]);
  });

  test("that fails too leaves the client the error of the model that it meant", async () => {
    await using big = await startEngine({
      model: "big",
      respond: () => Response.json({ error: { message: "full" } }, { status: 503, headers: { "retry-after": "7" } }),
    });
    await using gateway = await startGateway({ workers: [big.url], config });
    const response = await ask(gateway);
    const { error } = (await response.json()) as { error: { code: string } };
    expect([response.status, error.code, response.headers.get("retry-after")]).toEqual([503, "upstream_busy", "7"]);
    expect(await count(gateway, "gpt-4", "small", "failed")).toBe(1);
  });

  test("is not asked for a client that has left", async () => {
    const asked = Promise.withResolvers<void>();
    await using big = await startEngine({
      model: "big",
      respond: (request) => {
        asked.resolve();
        return new Promise((resolve) => request.signal.addEventListener("abort", () => resolve(failing(500)())));
      },
    });
    await using middle = await startEngine({ model: "middle" });
    await using gateway = await startGateway({ workers: [big.url, middle.url], config });
    const line = gateway.nextLine();
    const control = new AbortController();
    const sent = fetch(`${gateway.url}${CHAT}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "gpt-4", messages: MESSAGES }),
      signal: control.signal,
    }).catch(() => undefined);
    await asked.promise;
    control.abort();
    await sent;
    expect((await line)["status"]).toBe(499);
    expect(middle.requests.length).toBe(0);
  });

  test("a name that leads to no served model does not exist, under the client's name for it", async () => {
    await using other = await startEngine({ model: "other" });
    await using gateway = await startGateway({ workers: [other.url], config });
    const response = await ask(gateway);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect([response.status, error.code]).toEqual([404, "model_not_found"]);
    expect(error.message).toContain('"gpt-4"');
  });
});

test("the bound on a model's requests holds for its routes, and a place is given back when the next model is asked", async () => {
  const big = await startHeldEngine("big", () => "held");
  await using _big = big.engine;
  await using small = await startEngine({ model: "small" });
  const config = routed([{ model: "gpt-4", targets: ["big"], fallbacks: ["small"] }], {
    maxConcurrentRequestsPerModel: 1,
    queueSize: 0,
  });
  await using gateway = await startGateway({ workers: [big.engine.url, small.url], config });
  const held = post(`${gateway.url}${CHAT}`, { model: "gpt-4", messages: MESSAGES });
  while (big.order.length === 0) await Bun.sleep(1);
  // The place of `big` is taken, whichever name it is asked by.
  expect((await post(`${gateway.url}${CHAT}`, { model: "big", messages: MESSAGES })).status).toBe(503);
  const other = await post(`${gateway.url}${CHAT}`, { model: "gpt-4", messages: MESSAGES });
  expect([other.status, other.headers.get("x-pointsman-model")]).toEqual([200, "small"]);
  big.release();
  expect((await held).status).toBe(200);
});

test("a worker's own name may be routed, with its model among the targets", async () => {
  await using one = await startEngine({ model: "llama" });
  await using two = await startEngine({ model: "spare" });
  const initialWorkers = [one, two].map(({ url }) => workerSchema.parse({ url }));
  const config = routed([{ model: "llama", targets: ["llama"], fallbacks: ["spare"] }], { initialWorkers });
  await using gateway = await startGateway({ config });
  const response = await post(`${gateway.url}${CHAT}`, { model: "llama", messages: MESSAGES });
  expect([response.headers.get("x-pointsman-model"), one.requests.length]).toEqual(["llama", 1]);
  await one.refuse();
  const after = await post(`${gateway.url}${CHAT}`, { model: "llama", messages: MESSAGES });
  expect([after.status, after.headers.get("x-pointsman-model"), namesIn(await after.text())]).toEqual([
    200,
    "spare",
    ["llama"],
  ]);
});
