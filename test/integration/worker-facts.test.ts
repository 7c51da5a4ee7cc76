import { describe, expect, test } from "bun:test";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { startEngine } from "../support/engine.ts";
import { post, startGateway, type TestGateway } from "../support/gateway.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";

/** A worker whose pages and models a test decides while it runs. It answers chats with the name that it was asked by. */
interface PlayedWorker extends AsyncDisposable {
  readonly url: string;
  models: { readonly id: string; readonly max_model_len?: number | null; readonly parent?: string }[];
  /** Status of `/v1/models`, where it is not 200. */
  pageStatus: number | undefined;
  /** Of each request: path, headers. */
  readonly asked: { readonly path: string; readonly headers: Headers }[];
  readonly chats: string[];
}

function playWorker(...ids: readonly string[]): PlayedWorker {
  const asked: { path: string; headers: Headers }[] = [];
  const chats: string[] = [];
  const state = { models: ids.map((id) => ({ id })), pageStatus: undefined as number | undefined };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      asked.push({ path: pathname, headers: request.headers });
      if (pathname === "/health") return new Response("OK");
      if (request.method === "POST") {
        const { model } = (await request.json()) as { model: string };
        chats.push(model);
        const message = { role: "assistant", content: model };
        return Response.json({
          object: "chat.completion",
          model,
          choices: [{ index: 0, message, finish_reason: "stop" }],
        });
      }
      if (state.pageStatus !== undefined) return new Response("no", { status: state.pageStatus });
      if (pathname === "/v1/models") return Response.json({ object: "list", data: state.models });
      return new Response("no such page", { status: 404 });
    },
  });
  return Object.assign(state, {
    url: `http://127.0.0.1:${server.port}`,
    asked,
    chats,
    [Symbol.asyncDispose]: () => server.stop(true),
  });
}

/** Checks each 0.1 s. */
const QUICK = { healthCheckIntervalSecs: 0.1 };
const ask = (url: string, model: string): Promise<Response> =>
  post(`${url}/v1/chat/completions`, { model, messages: [{ role: "user", content: "Hi" }] });
const listed = async (url: string): Promise<string[]> => {
  const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
  return data.map(({ id }) => id);
};
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 5000; performance.now() < end; await Bun.sleep(10)) if (await isSo()) return;
  throw new Error("it did not come to pass within 5 s");
}

describe("with many models a worker whose models could not be asked", () => {
  test("is no candidate for a named model, and is one for its own as soon as it says them", async () => {
    await using one = playWorker("model-a");
    await using two = playWorker("model-b");
    one.pageStatus = 500;
    await using gateway = await startGateway({ workers: [one.url, two.url], config: { enableIgw: true, ...QUICK } });
    for (let count = 0; count < 6; count += 1) expect((await ask(gateway.url, "model-b")).status).toBe(200);
    expect([one.chats, (await ask(gateway.url, "nobodys")).status]).toEqual([[], 404]);
    one.pageStatus = undefined;
    await until(async () => (await listed(gateway.url)).includes("model-a"));
    expect((await ask(gateway.url, "model-a")).status).toBe(200);
    expect(one.chats).toEqual(["model-a"]);
  });

  test("and that has no such page is asked for none by name, unless its model is given", async () => {
    await using silent = playWorker();
    silent.pageStatus = 404;
    await using named = playWorker();
    named.pageStatus = 404;
    await using gateway = await startGateway({ workers: [silent.url], config: { enableIgw: true } });
    await post(`${gateway.url}/workers?wait=true`, { url: named.url, model_id: "given" });
    expect((await ask(gateway.url, "given")).status).toBe(200);
    expect([(await ask(gateway.url, "other")).status, silent.chats, named.chats]).toEqual([404, [], ["given"]]);
  });
});

for (const threads of [1, 2]) {
  describe(`models that come and go while a worker is well, with ${threads} threads`, () => {
    const start = (worker: PlayedWorker, ...flags: readonly string[]): Promise<GatewayProcess> =>
      startProcess(["--worker", worker.url, "--threads", String(threads), ...flags]);
    const ready = (url: string): Promise<void> => until(async () => (await fetch(`${url}/readiness`)).status === 200);

    test("one that was loaded a moment ago is found when it is asked for", async () => {
      await using worker = playWorker("base");
      await using gateway = await start(worker, "--health-check-interval-secs", "60");
      await ready(gateway.url);
      worker.models = [{ id: "base" }, { id: "lora-v1", parent: "base" }];
      expect((await ask(gateway.url, "lora-v1")).status).toBe(200);
      expect(await listed(gateway.url)).toEqual(["base", "lora-v1"]);
      worker.models = [{ id: "base" }, { id: "lora-v2", parent: "base" }];
      expect((await ask(gateway.url, "lora-v2")).status).toBe(200);
      // Names that nobody has keep no worker busy.
      const before = worker.asked.length;
      const statuses = await Promise.all(
        Array.from({ length: 50 }, (_, index) => ask(gateway.url, `made-up-${index}`)),
      );
      expect(new Set(statuses.map(({ status }) => status))).toEqual(new Set([404]));
      expect(worker.asked.length - before).toBeLessThan(20);
    });

    test("one that is gone is not served any more, and another one behind the same address is noticed", async () => {
      await using worker = playWorker("old");
      await using gateway = await start(worker, "--health-check-interval-secs", "0.1");
      await ready(gateway.url);
      expect((await ask(gateway.url, "old")).status).toBe(200);
      worker.models = [{ id: "new" }];
      await until(async () => (await listed(gateway.url)).join() === "new");
      await until(async () => (await ask(gateway.url, "old")).status === 404);
      expect((await ask(gateway.url, "new")).status).toBe(200);
    });
  });
}

test("each model is told with its own length, and an adapter with its parent", async () => {
  await using worker = playWorker();
  worker.models = [
    { id: "big", max_model_len: 131_072 },
    { id: "adapter", max_model_len: null, parent: "big" },
    { id: "small", max_model_len: 4096 },
  ];
  await using gateway = await startGateway({ workers: [worker.url] });
  const { data } = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: Record<string, unknown>[] };
  expect(data.map(({ id, max_model_len, parent }) => [id, max_model_len, parent])).toEqual([
    ["adapter", undefined, "big"],
    ["big", 131_072, undefined],
    ["small", 4096, undefined],
  ]);
});

test("a worker that is said to serve any model is asked for any, and for those that it lists", async () => {
  await using loader = playWorker("base");
  await using other = playWorker("other");
  await using gateway = await startGateway({ workers: [other.url], config: { enableIgw: true } });
  await post(`${gateway.url}/workers?wait=true`, { url: loader.url, model_id: "*" });
  for (const model of ["base", "never-listed"]) expect((await ask(gateway.url, model)).status).toBe(200);
  expect([loader.chats, other.chats, await listed(gateway.url)]).toEqual([
    ["base", "never-listed"],
    [],
    ["base", "other"],
  ]);
});

describe("probes", () => {
  test("go to the worker itself whatever proxy the environment names, and say who asks", async () => {
    await using worker = playWorker("m");
    await using proxy = playWorker("proxied");
    const env = { HTTP_PROXY: proxy.url, http_proxy: proxy.url, ALL_PROXY: proxy.url };
    await using gateway = await startProcess(["--worker", worker.url], env);
    await until(async () => (await fetch(`${gateway.url}/readiness`)).status === 200);
    expect([proxy.asked.length, worker.asked.length > 0]).toEqual([0, true]);
    const { headers } = worker.asked[0] ?? { headers: new Headers() };
    expect(headers.get("user-agent")).toMatch(/^pointsman\//);
    expect(headers.get("accept-encoding")).toBe("identity");
  });

  test("decode nothing: what comes packed is no answer, however small it was packed", async () => {
    const packed = Bun.gzipSync(Buffer.alloc(200_000_000, " "));
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) =>
        request.url.endsWith("/health")
          ? new Response("OK")
          : new Response(packed, { headers: { "content-type": "application/json", "content-encoding": "gzip" } }),
    });
    await using gateway = await startProcess(["--worker", `http://127.0.0.1:${server.port}`]);
    await until(async () => (await fetch(`${gateway.url}/readiness`)).status === 200);
    await Bun.sleep(300);
    expect(gateway.rssMb()).toBeLessThan(250);
    await server.stop(true);
  });
});

describe("why a worker is out", () => {
  interface Shown {
    readonly status: string;
    readonly since: string;
    readonly last_error: { readonly code: string; readonly message: string } | null;
  }
  const shown = async ({ url }: Pick<TestGateway, "url">): Promise<Shown> => {
    const { workers } = (await (await fetch(`${url}/workers`)).json()) as { workers: Shown[] };
    const [worker] = workers;
    if (!worker) throw new Error("there is no worker");
    return worker;
  };

  test("is told by its last error, since when, by a gauge, and by codes to who asks for readiness", async () => {
    await using gateway = await startProcess(["--worker", "http://no-such-host.invalid:8000"]);
    await until(async () => (await shown(gateway)).last_error !== null);
    const { status, since, last_error } = await shown(gateway);
    expect([status, last_error?.code, last_error?.message]).toEqual([
      "pending",
      "upstream_connect_failed",
      "its name does not resolve",
    ]);
    expect(Math.abs(Date.parse(since) - Date.now())).toBeLessThan(60_000);
    expect(await gateway.metric("pointsman_worker_up", { worker: "http://no-such-host.invalid:8000" })).toBe(0);
    const readiness = (await (await fetch(`${gateway.url}/readiness`)).json()) as object;
    expect(readiness).toMatchObject({ reason: "no healthy workers", errors: { upstream_connect_failed: 1 } });
    expect(JSON.stringify(readiness)).not.toContain("no-such-host");
  });

  test("a gRPC worker that is named without its scheme is pending, and says how to name it", async () => {
    await using engine = await startGrpcEngine({ kind: "sglang" });
    await using gateway = await startProcess(["--worker", `127.0.0.1:${engine.port}`]);
    await until(async () => (await shown(gateway)).last_error !== null);
    const { status, last_error } = await shown(gateway);
    expect([status, last_error?.code]).toEqual(["pending", "upstream_protocol_error"]);
    expect(last_error?.message).toContain("named grpc://HOST:PORT");
  });

  test("a worker that wants a key which it has not got is not ready, and is told what to give", async () => {
    await using engine = await startEngine({ apiKey: "wanted" });
    await using gateway = await startProcess(["--worker", engine.url]);
    await until(async () => (await shown(gateway)).last_error !== null);
    const { status, last_error } = await shown(gateway);
    expect([status, last_error?.code]).toEqual(["pending", "upstream_auth_failed"]);
    expect(last_error?.message).toContain("--worker-api-key");
    await engine.stop();
  });
});

describe("what the API says of a worker", () => {
  test("a change keeps what follows from the address, and is asked what POST is asked", async () => {
    await using worker = playWorker("m");
    await using gateway = await startGateway({ workers: [worker.url] });
    const call = async (method: string, path: string, body: object): Promise<[number, Record<string, unknown>]> => {
      const response = await fetch(gateway.url + path, {
        method,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      return [response.status, (await response.json()) as Record<string, unknown>];
    };
    const [status, grpc] = await call("POST", "/workers", { url: "grpc://127.0.0.1:9", model_id: "g" });
    expect(status).toBe(202);
    const id = String(grpc["worker_id"]);
    expect((await call("PUT", `/workers/${id}`, { url: "grpc://127.0.0.1:9", model_id: "g" }))[0]).toBe(202);
    const shown = (await (await fetch(`${gateway.url}/workers/${id}`)).json()) as Record<string, unknown>;
    expect(shown["connection_mode"]).toBe("grpc");
    const [refused, error] = await call("PUT", `/workers/${id}`, { url: "grpc://127.0.0.1:9", worker_type: "prefill" });
    expect([refused, (error["error"] as Record<string, unknown>)["param"]]).toEqual([400, "worker_type"]);
  });

  test("a worker is found by its url as well, and a policy that would change nothing is refused", async () => {
    await using worker = playWorker("m");
    await using gateway = await startGateway({ workers: [worker.url] });
    const path = `/workers/${encodeURIComponent(worker.url)}`;
    expect((await fetch(gateway.url + path)).status).toBe(200);
    const put = (body: object): Promise<Response> =>
      fetch(gateway.url + path, {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ url: worker.url, ...body }),
      });
    const refused = await put({ policy: "shortest_queue" });
    expect([refused.status, await refused.text()]).toEqual([
      400,
      expect.stringContaining("has the policy round_robin"),
    ]);
    expect((await put({ policy: "round_robin" })).status).toBe(202);
  });

  test("what other gateways take of a worker is taken where it means something, and else told what to use", async () => {
    await using gateway = await startGateway();
    const add = async (body: object): Promise<string> => {
      const response = await post(`${gateway.url}/workers`, { url: "http://127.0.0.1:9", ...body });
      return `${response.status} ${await response.text()}`;
    };
    expect(await add({ reasoning_parser: "qwen3" })).toMatch(/^400 .*option of the gateway here \(reasoning_parser\)/);
    expect(await add({ tool_parser: "qwen" })).toMatch(/^400 .*option of the gateway here \(tool_call_parser\)/);
    expect(await add({ tokenizer_path: "/models/x" })).toMatch(/^400 .*tokenizer_folder/);
    expect(await add({ tokenizerPath: "x" })).toContain("400");
  });
});

interface CacheView {
  readonly url: string;
  readonly kv_capacity_tokens: number | null;
  readonly cache_trust: number | null;
}

test("what each worker's cache holds is told by vLLM and SGLang, and the operator's word comes before theirs", async () => {
  await using vllm = await startEngine({ model: "m", kind: "vllm", kvTokens: 160_000 });
  await using sglang = await startEngine({ model: "m", kind: "sglang", kvTokens: 70_000 });
  await using given = await startEngine({ model: "m", kvTokens: 160_000 });
  await using silent = playWorker("m");
  const config = { defaultPolicy: "least_ttft" };
  await using gateway = await startGateway({ workers: [vllm.url, sglang.url, silent.url], config });
  await post(`${gateway.url}/workers?wait=true`, { url: given.url, kv_capacity_tokens: 3_000_000 });
  const views = async (): Promise<readonly CacheView[]> =>
    ((await (await fetch(`${gateway.url}/workers`)).json()) as { workers: CacheView[] }).workers;
  await until(async () => (await views()).filter((view) => view.kv_capacity_tokens !== null).length === 3);
  expect((await views()).map((view) => [view.url, view.kv_capacity_tokens, view.cache_trust])).toEqual([
    [vllm.url, 160_000, 1],
    [sglang.url, 70_000, 1],
    [silent.url, null, 1],
    [given.url, 3_000_000, 1],
  ]);
  const { status } = await post(`${gateway.url}/workers?wait=true`, { url: silent.url, kv_capacity_tokens: 0 });
  expect(status).toBe(400);
});
