import { describe, expect, spyOn, test } from "bun:test";
import { Secret } from "../../src/util/secret.ts";
import { openRaw, rawPost } from "../support/client.ts";
import { startEngine, startRawEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

const RAW = { ...HELLO, model: "raw" };

async function codeOf(response: Response): Promise<[number, string]> {
  return [response.status, ((await response.json()) as { error: { code: string } }).error.code];
}

describe("a second attempt", () => {
  test("goes to another worker when the first one cannot be reached", async () => {
    const dead = await startEngine();
    await using good = await startEngine();
    await using gateway = await startGateway({ workers: [dead.url, good.url] });
    await dead.stop();
    const lines = [gateway.nextLine(), gateway.nextLine()];
    for (let count = 0; count < 2; count += 1)
      expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
    expect((await Promise.all(lines)).map((line) => line["attempts"])).toContain(2);
    expect(good.requests.length).toBe(2);
  });

  test("goes to another worker when the first one breaks before it answers, and no further", async () => {
    await using one = await startRawEngine(({ reset }) => reset());
    await using two = await startRawEngine(({ reset }) => reset());
    await using three = await startRawEngine(({ reset }) => reset());
    await using gateway = await startGateway({ workers: [one.url, two.url, three.url] });
    expect((await codeOf(await post(`${gateway.url}/v1/chat/completions`, RAW)))[0]).toBe(502);
    expect(one.generations + two.generations + three.generations).toBe(2);
    expect([one, two, three].every((engine) => engine.generations <= 1)).toBe(true);
  });

  test("is not made where there is no other worker", async () => {
    await using one = await startRawEngine(({ end }) => end());
    await using gateway = await startGateway({ workers: [one.url] });
    expect(await codeOf(await post(`${gateway.url}/v1/chat/completions`, RAW))).toEqual([502, "upstream_closed"]);
    expect(one.generations).toBe(1);
  });

  test("is not made when it is switched off", async () => {
    await using one = await startRawEngine(({ reset }) => reset());
    await using two = await startRawEngine(({ reset }) => reset());
    await using gateway = await startGateway({ workers: [one.url, two.url], config: { disableRetries: true } });
    await post(`${gateway.url}/v1/chat/completions`, RAW);
    expect(one.generations + two.generations).toBe(1);
  });

  test("follows a worker's 503, and where all are full the client is told when to come back", async () => {
    const full = (): Response => Response.json({ error: "full" }, { status: 503, headers: { "retry-after": "7" } });
    await using one = await startEngine({ respond: full });
    await using two = await startEngine();
    await using gateway = await startGateway({ workers: [one.url, two.url] });
    for (let count = 0; count < 4; count += 1)
      expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
    await using alone = await startGateway({ workers: [one.url] });
    const response = await post(`${alone.url}/v1/chat/completions`, HELLO);
    expect(response.headers.get("retry-after")).toBe("7");
    expect(await codeOf(response)).toEqual([503, "upstream_busy"]);
  });

  test("goes to the same worker where it had closed an idle connection", async () => {
    let count = 0;
    await using engine = await startRawEngine(({ write, reset }) => {
      count += 1;
      if (count === 2) reset();
      else write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
    });
    await using gateway = await startGateway({ workers: [engine.url] });
    expect((await post(`${gateway.url}/v1/chat/completions`, RAW)).status).toBe(200);
    const line = gateway.nextLine();
    expect((await post(`${gateway.url}/v1/chat/completions`, RAW)).status).toBe(200);
    expect((await line)["attempts"]).toBe(2);
  });
});

test("a request whose model's workers are all down is refused, and has them probed soon", async () => {
  const engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { healthCheckIntervalSecs: 0.05, healthFailureThreshold: 1 },
  });
  const { workerRegistry, healthChecker } = gateway.context;
  const [worker] = workerRegistry.all();
  await engine.stop();
  const { signal } = new AbortController();
  await healthChecker.waitUntilSettled(worker?.id ?? "", signal, ({ status }) => status === "not_ready");
  const probed = spyOn(healthChecker, "probeSoon");
  expect(await codeOf(await post(`${gateway.url}/v1/chat/completions`, HELLO))).toEqual([503, "no_available_workers"]);
  expect(probed.mock.calls).toEqual([[worker?.id ?? ""]]);
});

describe("bounds on time", () => {
  test("a worker that does not begin to answer", async () => {
    await using engine = await startRawEngine(() => undefined);
    await using gateway = await startGateway({ workers: [engine.url], config: { firstByteTimeoutSecs: 0.3 } });
    const started = performance.now();
    expect(await codeOf(await post(`${gateway.url}/v1/chat/completions`, RAW))).toEqual([504, "upstream_timeout"]);
    expect(performance.now() - started).toBeLessThan(800);
    await engine.sawClose;
  });

  test("a request that takes longer than it may, over all its attempts", async () => {
    await using one = await startRawEngine(() => undefined);
    await using two = await startRawEngine(() => undefined);
    await using gateway = await startGateway({ workers: [one.url, two.url], config: { requestTimeoutSecs: 0.4 } });
    const started = performance.now();
    expect((await codeOf(await post(`${gateway.url}/v1/chat/completions`, RAW)))[0]).toBe(504);
    expect(performance.now() - started).toBeLessThan(900);
  });

  test("a body that does not arrive", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway({ workers: [engine.url], config: { requestTimeoutSecs: 0.3 } });
    const client = await openRaw(
      gateway.url,
      "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    );
    expect(await client.until("request_timeout")).toContain("HTTP/1.1 408");
    client.hangUp();
  });
});

describe("answers that are none", () => {
  const cases: Readonly<Record<string, string>> = {
    "a page": "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<p/>",
    "cut JSON": 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n{"a"',
    "a redirect": "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
    "an encoding nobody asked for":
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    "a stream instead of an answer":
      "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 14\r\n\r\ndata: [DONE]\n\n",
  };
  for (const [name, answer] of Object.entries(cases)) {
    test(name, async () => {
      await using engine = await startRawEngine(({ write }) => write(answer));
      await using gateway = await startGateway({ workers: [engine.url] });
      expect(await codeOf(await post(`${gateway.url}/v1/chat/completions`, RAW))).toEqual([
        502,
        "invalid_upstream_response",
      ]);
    });
  }

  test("a body shorter than its length", async () => {
    await using engine = await startRawEngine(({ write, end }) => {
      write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"a":1}');
      end();
    });
    await using gateway = await startGateway({ workers: [engine.url] });
    expect(await codeOf(await post(`${gateway.url}/v1/chat/completions`, RAW))).toEqual([502, "upstream_truncated"]);
  });

  test("a refused credential is the operator's to see and not the client's", async () => {
    await using engine = await startEngine({ apiKey: "right" });
    await using gateway = await startGateway({ workers: [engine.url], config: { disableHealthCheck: true } });
    expect(await codeOf(await post(`${gateway.url}/v1/chat/completions`, HELLO))).toEqual([
      502,
      "upstream_auth_failed",
    ]);
  });
});

test("a breaker takes a failing worker out and lets one request prove it again", async () => {
  let isBroken = true;
  await using flaky = await startEngine({ respond: () => (isBroken ? new Response("", { status: 502 }) : undefined) });
  await using good = await startEngine();
  await using gateway = await startGateway({
    workers: [flaky.url, good.url],
    config: { cbFailureThreshold: 3, cbSuccessThreshold: 1, cbTimeoutDurationSecs: 0.2 },
  });
  for (let count = 0; count < 20; count += 1)
    expect((await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, seed: count })).status).toBe(200);
  expect(flaky.requests.length).toBe(3);
  isBroken = false;
  const state = (): string | undefined => gateway.context.workerRegistry.getByUrl(flaky.url)?.breakerState;
  while (state() !== "half_open") await Bun.sleep(5);
  await post(`${gateway.url}/v1/chat/completions`, HELLO);
  expect(state()).toBe("closed");
});

test("beyond the limit requests wait in a bounded line, beyond the line they are refused", async () => {
  const { promise: open, resolve: release } = Promise.withResolvers<void>();
  await using engine = await startEngine({
    respond: async () => {
      await open;
      return Response.json({});
    },
  });
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { maxConcurrentRequests: 2, queueSize: 2, queueTimeoutSecs: 10 },
  });
  const all = Array.from({ length: 7 }, () => post(`${gateway.url}/v1/chat/completions`, HELLO));
  const refused = await Promise.all(all.slice(4));
  expect(await Promise.all(refused.map(codeOf))).toEqual([
    [503, "queue_full"],
    [503, "queue_full"],
    [503, "queue_full"],
  ]);
  expect(refused.every((response) => Number(response.headers.get("retry-after")) >= 1)).toBe(true);
  expect(engine.requests.length).toBeLessThanOrEqual(2);
  release();
  expect((await Promise.all(all.slice(0, 4))).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
});

test("with a key set, serving routes want it, probes do not, and it opens the administration from this machine", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url], config: { apiKey: new Secret("right") } });
  for (const path of ["/workers", "/policies", "/get_loads"]) {
    expect((await fetch(gateway.url + path)).status).toBe(401);
    const asked = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(gateway.url + path, { headers: { authorization: "Bearer right", ...headers } })).status;
    expect([await asked({}), await asked({ "x-forwarded-for": "10.0.0.1" })]).toEqual([200, 403]);
  }
  for (const path of ["/v1/models", "/get_model_info"]) {
    const response = await fetch(gateway.url + path);
    expect([path, response.status, response.headers.get("www-authenticate")]).toEqual([path, 401, "Bearer"]);
    expect((await fetch(gateway.url + path, { headers: { authorization: "Bearer right" } })).status).toBe(200);
    expect((await fetch(gateway.url + path, { headers: { "x-api-key": "right" } })).status).toBe(200);
    expect(
      (await fetch(gateway.url + path, { headers: { "x-api-key": "right", authorization: "Bearer of-another" } }))
        .status,
    ).toBe(200);
  }
  for (const path of ["/health", "/liveness", "/readiness", "/metrics", "/health_generate"])
    expect((await fetch(gateway.url + path)).status).toBe(200);
  expect((await post(`${gateway.url}/v1/chat/completions`, "{")).status).toBe(401);
});

test("loads and caches of all workers are asked and flushed together; a page of a worker loses its secrets", async () => {
  await using one = await startEngine({ kind: "sglang" });
  const two = await startEngine({ kind: "vllm" });
  await using gateway = await startGateway({ workers: [one.url, two.url] });
  const flushed = await fetch(`${gateway.url}/flush_cache`, { method: "POST" });
  expect([flushed.status, ((await flushed.json()) as { workers_flushed: number }).workers_flushed]).toEqual([200, 2]);
  const loads = async (): Promise<number[]> => {
    const answer = (await (await fetch(`${gateway.url}/get_loads`)).json()) as { workers: { load: number }[] };
    return answer.workers.map(({ load }) => load);
  };
  expect(await loads()).toEqual([0, 0]);
  const info = await (await fetch(`${gateway.url}/get_server_info`)).text();
  expect(info).toContain("sim-1");
  expect(info).not.toContain("engine-secret");
  await two[Symbol.asyncDispose]();
  expect(await loads()).toEqual([0, -1]);
});

test("metrics count what the access line says, and no client can make up their labels", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url] });
  await (
    await post(`${gateway.url}/v1/chat/completions`, {
      ...HELLO,
      stream: true,
      max_tokens: 4,
      stream_options: { include_usage: true },
    })
  ).text();
  for (let count = 0; count < 50; count += 1)
    await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model: `made-up-${count}` });
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(text).toContain('pointsman_requests_total{endpoint="chat_completions",model="sim-1",status="200"} 1');
  expect(text).toContain('pointsman_requests_total{endpoint="chat_completions",model="other",status="404"} 50');
  expect(text).toContain(`pointsman_completion_tokens_total{model="sim-1",worker="${engine.url}"} 4`);
  expect(text).toContain('pointsman_workers{status="ready"} 1');
  expect(text).toContain("pointsman_time_to_first_token_seconds_count");
  expect(text).not.toContain("made-up");
});

test("prompts and keys are in no log line, metric or answer", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url], config: { apiKey: new Secret("canary-key") } });
  const headers = { authorization: "Bearer canary-key" };
  const messages = [{ role: "user", content: "canary-prompt" }];
  await (await post(`${gateway.url}/v1/chat/completions`, { model: "sim-1", messages, stream: true }, headers)).text();
  await post(`${gateway.url}/v1/chat/completions`, { model: "nope", messages }, headers);
  const seen =
    JSON.stringify(gateway.lines) +
    (await (await fetch(`${gateway.url}/metrics`)).text()) +
    (await (await fetch(`${gateway.url}/workers`, { headers })).text());
  expect(seen).toContain("sim-1");
  expect(seen).not.toContain("canary");
});

test("a client that leaves while it waits in the line costs no generation", async () => {
  const { promise: open, resolve: release } = Promise.withResolvers<void>();
  await using engine = await startEngine({
    respond: async () => {
      await open;
      return Response.json({});
    },
  });
  await using gateway = await startGateway({ workers: [engine.url], config: { maxConcurrentRequests: 1 } });
  const first = post(`${gateway.url}/v1/chat/completions`, HELLO);
  while (engine.requests.length === 0) await Bun.sleep(2);
  const line = gateway.nextLine();
  const client = await openRaw(gateway.url, rawPost("/v1/chat/completions", HELLO));
  await Bun.sleep(30);
  client.hangUp();
  expect((await line)["status"]).toBe(499);
  release();
  expect((await first).status).toBe(200);
  expect(engine.requests.length).toBe(1);
});
