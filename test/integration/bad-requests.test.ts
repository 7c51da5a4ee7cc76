import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { openRaw } from "../support/client.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway, type TestGateway } from "../support/gateway.ts";
import { exchange, head, type WireAnswer } from "../faults/wire.ts";

let engine: SimulatedEngine;
let gateway: TestGateway;

beforeAll(async () => {
  engine = await startEngine();
  gateway = await startGateway({ workers: [engine.url], config: { maxPayloadSize: 4096, enableIgw: true } });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
});

/** Status and the error, which must have its four keys and nothing of the worker in it. */
async function errorOf(response: Response): Promise<{ status: number; error: Record<string, unknown> }> {
  const text = await response.text();
  expect(response.headers.get("content-type")).toContain("application/json");
  expect(response.headers.get("x-request-id")).toBeTruthy();
  expect(text).not.toContain(String(engine.port));
  const { error } = JSON.parse(text) as { error: Record<string, unknown> };
  expect(Object.keys(error).sort()).toEqual(["code", "message", "param", "type"]);
  return { status: response.status, error };
}

const chat = (): string => `${gateway.url}/v1/chat/completions`;

describe("a bad request has its own answer, and no worker hears of it", () => {
  const cases: readonly [
    name: string,
    body: string | Uint8Array,
    status: number,
    code: string,
    param: string | null,
  ][] = [
    ["an empty body", "", 400, "invalid_json", null],
    ["broken JSON", "{", 400, "invalid_json", null],
    ["broken UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 400, "invalid_json", null],
    ["an array", "[]", 400, "invalid_body", null],
    ["null", "null", 400, "invalid_body", null],
    ["no model", '{"messages":[]}', 400, "missing_model", "model"],
    ["a model that is a number", '{"model":7}', 400, "invalid_request", "model"],
    ["a model that is empty", '{"model":""}', 400, "missing_model", "model"],
    ["a stream that is a word", '{"model":"sim-1","stream":"yes"}', 400, "invalid_request", "stream"],
    ["a __proto__ key", '{"model":"sim-1","x":{"__proto__":{"admin":true}}}', 400, "forbidden_key", null],
    ["a model that nobody serves", '{"model":"gpt-9"}', 404, "model_not_found", "model"],
    ["a model named __proto__", '{"model":"__proto__"}', 404, "model_not_found", "model"],
    ["a model named constructor", '{"model":"constructor"}', 404, "model_not_found", "model"],
    [
      "a body that is too large",
      JSON.stringify({ model: "sim-1", x: "a".repeat(5000) }),
      413,
      "request_too_large",
      null,
    ],
  ];
  for (const [name, body, status, code, param] of cases) {
    test(name, async () => {
      const before = engine.requests.length;
      const result = await errorOf(await post(chat(), body));
      expect([result.status, result.error["code"], result.error["param"]]).toEqual([status, code, param]);
      expect(result.error["type"]).toBe("invalid_request_error");
      expect(engine.requests.length).toBe(before);
    });
  }

  for (const type of ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]) {
    test(`content type ${type}`, async () => {
      const response = await fetch(chat(), { method: "POST", headers: { "content-type": type }, body: "{}" });
      const { status, error } = await errorOf(response);
      expect([status, error["code"]]).toEqual([415, "unsupported_media_type"]);
    });
  }

  test("a charset behind the content type is no reason to refuse", async () => {
    const response = await post(chat(), HELLO, { "content-type": "application/json; charset=utf-8" });
    expect(response.status).toBe(200);
  });

  test("a body in an encoding that is not known", async () => {
    const response = await post(chat(), HELLO, { "content-encoding": "compress" });
    expect(response.headers.get("accept-encoding")).toBe("gzip, deflate, br, zstd, identity");
    const { status, error } = await errorOf(response);
    expect([status, error["code"]]).toEqual([415, "unsupported_media_type"]);
  });

  test("a body that is not in the encoding that it names", async () => {
    const { status, error } = await errorOf(await post(chat(), HELLO, { "content-encoding": "gzip" }));
    expect([status, error["code"]]).toEqual([400, "bad_content_encoding"]);
  });

  test("a body without a length that grows too large", async () => {
    const piece = "a".repeat(1000);
    const chunks = `3e8\r\n${piece}\r\n`.repeat(10);
    const client = await openRaw(
      gateway.url,
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${chunks}`,
    );
    expect(await client.until("request_too_large")).toContain("HTTP/1.1 413");
    client.hangUp();
  });
});

describe("routes", () => {
  test("of inference are not spoken over WebSockets, and say so in the way that clients understand", async () => {
    const ask = (path: string, fields: readonly string[]): Promise<readonly WireAnswer[]> =>
      exchange(gateway.url, head(`GET ${path}`, fields));
    const shake = ["connection: Upgrade", "upgrade: WebSocket", "sec-websocket-version: 13", "sec-websocket-key: eA=="];
    for (const path of ["/v1/responses", "/v1/chat/completions"]) {
      const [answer] = await ask(path, shake);
      expect([answer?.status, answer?.headers.get("upgrade"), answer?.headers.get("connection")]).toEqual([
        426,
        "HTTP/1.1",
        "upgrade",
      ]);
      expect(answer?.body).toContain('"code":"websocket_unsupported"');
      const [plain] = await ask(path, []);
      expect([plain?.status, plain?.headers.get("allow")]).toEqual([405, "POST"]);
    }
    // Where there is a GET it is answered: an upgrade is an offer.
    expect((await ask("/health", shake))[0]?.status).toBe(200);
  });

  test("that are not there", async () => {
    for (const path of ["/nope", "/v1/chat/completions/", "/V1/models", "/v1//models", "/admin"]) {
      const { status, error } = await errorOf(await fetch(gateway.url + path));
      expect([status, error["code"]]).toEqual([404, "unknown_url"]);
    }
  });

  test("are matched on the raw path: dots and escapes lead nowhere", async () => {
    for (const path of ["/v1/../workers", "/%77orkers", "//workers", "/./workers"]) {
      const client = await openRaw(gateway.url, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      await client.closed;
      expect(client.received).toContain("HTTP/1.1 404");
      expect(client.received).toContain("unknown_url");
    }
  });

  test("called with another method say which they take", async () => {
    const response = await fetch(chat());
    expect(response.headers.get("allow")).toBe("POST");
    expect((await errorOf(response)).error["code"]).toBe("method_not_allowed");
    const workers = await fetch(`${gateway.url}/workers/abc`, { method: "POST" });
    expect(workers.headers.get("allow")?.split(", ").sort()).toEqual(["DELETE", "GET", "PATCH", "PUT"]);
    expect(workers.status).toBe(405);
  });

  test("a Host with a path in it is refused before anything looks at the URL", async () => {
    for (const host of ["x/health?a", "user@x", "x y"]) {
      const client = await openRaw(gateway.url, `GET /workers HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      await client.closed;
      expect(client.received).toContain("HTTP/1.1 400");
    }
  });
});

test("/v1/messages answers errors in Anthropic's shape, with the header its SDK reads", async () => {
  const response = await post(`${gateway.url}/v1/messages`, { model: "claude-9", messages: [], max_tokens: 5 });
  expect(response.status).toBe(404);
  const requestId = response.headers.get("request-id");
  expect(requestId).toBe(response.headers.get("x-request-id"));
  expect(await response.json()).toEqual({
    type: "error",
    error: {
      type: "not_found_error",
      message: 'the model "claude-9" does not exist here',
      code: "model_not_found",
      param: "model",
    },
    request_id: requestId,
  });
});

test("what a worker says of a bad request reaches the client in one shape, its own address taken out", async () => {
  await using strict = await startEngine({
    respond: ({ headers }) =>
      Response.json(
        {
          object: "error",
          message: `too long for http://${headers["host"]}`,
          type: "BadRequestError",
          param: "prompt",
          code: 400,
        },
        { status: 400 },
      ),
  });
  await using other = await startGateway({ workers: [strict.url] });
  const response = await post(`${other.url}/v1/chat/completions`, HELLO);
  expect(response.status).toBe(400);
  expect(await response.json()).toEqual({
    error: {
      message: "too long for the worker",
      type: "invalid_request_error",
      param: "prompt",
      code: "upstream_rejected",
    },
  });
});

test("a worker's 500 tells nothing of its insides, and is not tried again", async () => {
  let calls = 0;
  await using broken = await startEngine({
    respond: () => {
      calls += 1;
      return Response.json({ error: { message: "/root/secret.py line 7" } }, { status: 500 });
    },
  });
  await using other = await startGateway({ workers: [broken.url] });
  const response = await post(`${other.url}/v1/chat/completions`, HELLO);
  const text = await response.text();
  expect([response.status, calls]).toEqual([500, 1]);
  expect(text).not.toContain("secret.py");
  expect(JSON.parse(text).error.code).toBe("upstream_error");
});
