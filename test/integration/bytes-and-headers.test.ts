import { expect, test } from "bun:test";
import { Secret } from "../../src/util/secret.ts";
import { DEFAULT_SPEC } from "../../src/worker/worker-spec.ts";
import { VERSION } from "../../src/util/version.ts";
import { openRaw } from "../support/client.ts";
import { jsonAnswer, startEngine, startRawEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

test("the worker gets the body that the client sent, byte for byte", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url] });
  const body = `{ "messages":[{"content":"caf\\u00e9 ☕","role":"user"}],\n "frobnicate": {"b":1,"a":[1e2, 0.10000000000000000555]},  "seed":9007199254740993, "model":"sim-1"}`;
  const response = await post(`${gateway.url}/v1/chat/completions`, body);
  expect(response.status).toBe(200);
  expect(engine.requests[0]?.body).toBe(body);
});

test("only allow-listed headers go up, and the client's credential stays here", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { apiKey: new Secret("client-key"), forwardHeaders: ["x-team"] },
  });
  const headers = {
    authorization: "Bearer client-key",
    "x-api-key": "client-key",
    cookie: "session=1",
    "x-forwarded-for": "10.0.0.1",
    "x-internal": "1",
    "x-team": "signals",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "x-request-id": "req-1",
  };
  const response = await post(`${gateway.url}/v1/chat/completions`, HELLO, headers);
  expect(response.headers.get("x-request-id")).toBe("req-1");
  expect(engine.requests[0]?.headers["x-request-id"]).toMatch(/^req-1-[0-9a-z]{9,}$/);
  const got = engine.requests[0]?.headers ?? {};
  expect(Object.keys(got).sort()).toEqual([
    "accept",
    "accept-encoding",
    "content-length",
    "content-type",
    "host",
    "traceparent",
    "user-agent",
    "via",
    "x-request-id",
    "x-team",
  ]);
  expect(JSON.stringify(got)).not.toContain("client-key");
});

test("requests of one id have each an id of their own at the worker, and the client's in answer and log", async () => {
  const seen = new Set<string>();
  await using engine = await startEngine({
    respond: ({ headers }) => {
      // As vLLM does with an id that it has.
      const id = headers["x-request-id"] ?? "";
      if (seen.has(id)) return Response.json({ error: { message: "Duplicate request_id" } }, { status: 400 });
      seen.add(id);
      return Response.json({ object: "chat.completion", choices: [] });
    },
  });
  await using gateway = await startGateway({ workers: [engine.url] });
  for (const name of ["x-request-id", "x-correlation-id", "x-trace-id"]) {
    const line = gateway.nextLine();
    const response = await post(`${gateway.url}/v1/chat/completions`, HELLO, { [name]: "session-7" });
    expect([response.status, response.headers.get("x-request-id")]).toEqual([200, "session-7"]);
    expect((await line)["request_id"]).toBe("session-7");
  }
  expect([...seen].every((id) => id.startsWith("session-7-"))).toBe(true);
});

test("a worker is told the client's user agent, or the gateway's where the client says none", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url] });
  const body = JSON.stringify(HELLO);
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n`;
  for (const line of ["user-agent: openai-python/2.1\r\n", ""]) {
    const client = await openRaw(gateway.url, `${head}${line}\r\n${body}`);
    await client.closed;
    expect(client.received).toStartWith("HTTP/1.1 200");
  }
  const agents = engine.requests.map(({ headers }) => headers["user-agent"]);
  expect(agents).toEqual(["openai-python/2.1", `pointsman/${VERSION}`]);
});

test("a header that the gateway writes itself, or twice among those to be passed on, comes once", async () => {
  await using engine = await startRawEngine(({ head, write }) => {
    const names = head
      .split("\r\n")
      .slice(1)
      .map((line) => line.slice(0, line.indexOf(":")));
    write(jsonAnswer(JSON.stringify({ names })));
  });
  const forwardHeaders = [
    "x-request-id",
    "content-type",
    "accept-encoding",
    "user-agent",
    "accept",
    "x-team",
    "x-team",
  ];
  await using gateway = await startGateway({ workers: [engine.url], config: { forwardHeaders } });
  const response = await post(
    `${gateway.url}/v1/chat/completions`,
    { ...HELLO, model: "raw" },
    { "x-request-id": "r", "x-team": "signals", "accept-encoding": "gzip" },
  );
  const { names } = (await response.json()) as { names: string[] };
  expect(names.filter((name) => name !== "").toSorted()).toEqual(
    [...new Set(names)].filter((name) => name !== "").toSorted(),
  );
  expect(names).toContain("x-team");
});

test("a worker gets its own key, and no other's", async () => {
  await using one = await startEngine({ apiKey: "key-one" });
  await using two = await startEngine();
  await using gateway = await startGateway();
  const signal = new AbortController().signal;
  for (const spec of [{ url: one.url, apiKey: new Secret("key-one") }, { url: two.url }]) {
    const { worker } = gateway.context.routerManager.addWorker({ ...DEFAULT_SPEC, ...spec });
    await gateway.context.healthChecker.waitUntilSettled(worker.id, signal);
  }
  for (let count = 0; count < 4; count += 1) {
    expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
  }
  expect(one.requests.map((request) => request.headers["authorization"])).toEqual(["Bearer key-one", "Bearer key-one"]);
  expect(two.requests.map((request) => request.headers["authorization"])).toEqual([undefined, undefined]);
});

test("the client gets content type and request id, and nothing that names the worker", async () => {
  await using engine = await startEngine({
    respond: () =>
      new Response('{"object":"chat.completion","choices":[]}', {
        headers: { "content-type": "application/json", server: "uvicorn", "x-worker": "gpu-7", "set-cookie": "a=1" },
      }),
  });
  await using gateway = await startGateway({ workers: [engine.url] });
  const response = await post(`${gateway.url}/v1/chat/completions`, HELLO);
  expect([...response.headers.keys()].sort()).toEqual(["content-length", "content-type", "date", "x-request-id"]);
  expect(await response.text()).toBe('{"object":"chat.completion","choices":[]}');
});

test("a request id that is no safe one is replaced", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url] });
  for (const id of ["a b", "x".repeat(200), 'quote"']) {
    const response = await post(`${gateway.url}/v1/chat/completions`, HELLO, { "x-request-id": id });
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  }
});
