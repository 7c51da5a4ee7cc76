import { describe, expect, test } from "bun:test";
import { openRaw, rawPost } from "../support/client.ts";
import { deltaChunk, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

type Json = Record<string, unknown>;

async function call(
  url: string,
  method = "GET",
  body?: unknown,
): Promise<{ status: number; headers: Headers; json: Json }> {
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, json: (await response.json()) as Json };
}

describe("the REST API", () => {
  test("a worker comes, is asked what it serves, changes and goes", async () => {
    await using engine = await startEngine({ model: "m-1", kind: "sglang" });
    await using gateway = await startGateway();
    const added = await call(`${gateway.url}/workers`, "POST", { url: engine.url });
    const location = added.headers.get("location") ?? "";
    expect([added.status, added.json["status"], location]).toEqual([
      202,
      "accepted",
      `/workers/${String(added.json["worker_id"])}`,
    ]);
    await gateway.context.healthChecker.waitUntilSettled(String(added.json["worker_id"]), new AbortController().signal);
    const shown = await call(gateway.url + location);
    expect([
      shown.json["status"],
      shown.json["model_id"],
      shown.json["runtime_type"],
      shown.json["is_healthy"],
    ]).toEqual(["ready", "m-1", "sglang", true]);
    const patched = await call(`${gateway.url}${location}?wait=true`, "PATCH", {
      priority: 7,
      labels: { zone: "a" },
      api_key: "hush",
    });
    expect([patched.status, patched.json["priority"], patched.json["labels"], patched.json["has_api_key"]]).toEqual([
      200,
      7,
      { zone: "a" },
      true,
    ]);
    expect(JSON.stringify(patched.json)).not.toContain("hush");
    const replaced = await call(`${gateway.url}${location}?wait=1`, "PUT", { url: engine.url, cost: 3 });
    expect([replaced.json["cost"], replaced.json["priority"], replaced.json["labels"]]).toEqual([3, 50, {}]);
    const moved = await call(gateway.url + location, "PUT", { url: "http://elsewhere:1" });
    expect([moved.status, (moved.json["error"] as Json)["param"]]).toEqual([400, "url"]);
    const removed = await call(`${gateway.url}${location}?wait=true`, "DELETE");
    expect([removed.status, removed.json["status"]]).toEqual([200, "removed"]);
    expect((await call(gateway.url + location)).status).toBe(404);
    expect((await call(gateway.url + location, "DELETE")).status).toBe(404);
    expect((await call(`${gateway.url}/workers`)).json["total"]).toBe(0);
  });

  test("?wait=true answers when the worker is ready", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway();
    const added = await call(`${gateway.url}/workers?wait=true`, "POST", { url: engine.url });
    expect([added.status, added.json["status"], added.json["model_id"]]).toEqual([201, "ready", "sim-1"]);
    expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
  });

  test("bad workers are refused, and nothing changes", async () => {
    await using gateway = await startGateway();
    const cases: readonly [body: Json, status: number, param: string][] = [
      [{}, 400, "url"],
      [{ url: "ftp://x" }, 400, "url"],
      [{ url: "http://x:1/path" }, 400, "url"],
      [{ url: "http://x:1", prority: 1 }, 400, "prority"],
      [{ url: "http://x:1", priority: "high" }, 400, "priority"],
      [{ url: "http://x:1", policy: "nope" }, 400, "policy"],
      [{ url: "http://x:1", worker_type: "prefill" }, 400, "worker_type"],
    ];
    for (const [body, status, param] of cases) {
      const { status: got, json } = await call(`${gateway.url}/workers`, "POST", body);
      expect([body, got, (json["error"] as Json)["param"]]).toEqual([body, status, param]);
    }
    expect(gateway.context.workerRegistry.all()).toEqual([]);
  });

  test("every wrong field is named as the caller wrote it", async () => {
    await using gateway = await startGateway();
    const body = { url: "http://x:1", frobnicate: "t", modelId: "m", priority: "high" };
    const { json } = await call(`${gateway.url}/workers`, "POST", body);
    expect(json["error"]).toMatchObject({
      message:
        'priority must be a number from 0 to 1000000, not "high"; unknown key frobnicate; unknown key modelId; did you mean model_id?',
      param: "priority",
    });
  });

  test("a body of many levels or of many labels is refused, and changes nothing", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway();
    const deep: unknown = JSON.parse('{"a":'.repeat(40) + "1" + "}".repeat(40));
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`l-${index}`, "x"]));
    const added = await call(`${gateway.url}/workers?wait=true`, "POST", { url: engine.url, labels: { zone: "a" } });
    const worker = `${gateway.url}/workers/${String(added.json["id"])}`;
    for (const fields of [{ health: deep }, { labels: many }]) {
      const { labels } = (await call(worker)).json;
      const answers = [
        await call(`${gateway.url}/workers`, "POST", { url: "http://127.0.0.1:1", ...fields }),
        await call(`${gateway.url}/add_worker`, "POST", { url: "http://127.0.0.1:1", ...fields }),
        await call(worker, "PUT", { url: engine.url, ...fields }),
        await call(worker, "PATCH", fields),
      ];
      expect(answers.map(({ status, json }) => [status, (json["error"] as Json)["code"]])).toEqual(
        Array.from({ length: 4 }, () => [400, "invalid_request"]),
      );
      expect((await call(worker)).json["labels"]).toEqual(labels);
    }
    expect(gateway.context.workerRegistry.count()).toBe(1);
  });

  test("an address with /v1 is the worker's without it, which the answer says", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway();
    const added = await call(`${gateway.url}/workers`, "POST", { url: `${engine.url}/v1` });
    expect([added.status, added.json["url"]]).toEqual([202, engine.url]);
    expect(added.json["message"]).toContain(`${engine.url} was given with /v1, which is left out`);
    expect((await call(`${gateway.url}/workers`, "POST", { url: engine.url })).status).toBe(409);
    const removed = await call(`${gateway.url}/remove_worker`, "POST", { url: `${engine.url}/v1/` });
    expect(removed.status).toBe(200);
  });

  test("the same url at once: one is taken, the others are told so", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway();
    const all = await Promise.all(
      Array.from({ length: 20 }, () => call(`${gateway.url}/workers`, "POST", { url: engine.url })),
    );
    expect(all.map(({ status }) => status).sort((a, b) => a - b)).toEqual([
      202,
      ...Array.from({ length: 19 }, () => 409),
    ]);
    expect(gateway.context.workerRegistry.count()).toBe(1);
  });

  for (const [verb, suffix] of [
    ["POST", ""],
    ["PUT", "/:id"],
    ["PATCH", "/:id"],
  ] as const) {
    test(`${verb} takes and refuses what the other verbs do, field by field`, async () => {
      await using gateway = await startGateway();
      const url = "grpc://127.0.0.1:9";
      const send = async (fields: Json): Promise<[number, unknown]> => {
        for (const { id } of gateway.context.workerRegistry.all()) await call(`${gateway.url}/workers/${id}`, "DELETE");
        const added = verb === "POST" ? undefined : await call(`${gateway.url}/workers`, "POST", { url });
        const path = `/workers${suffix.replace(":id", String(added?.json["worker_id"]))}`;
        const { status, json } = await call(gateway.url + path, verb, {
          ...(verb === "PATCH" ? {} : { url }),
          ...fields,
        });
        const [worker] = gateway.context.workerRegistry.all();
        return status === 202 ? [status, worker?.connectionMode] : [status, (json["error"] as Json)["param"]];
      };
      const cases: readonly [fields: Json, status: number, told: string][] = [
        [{}, 202, "grpc"],
        [{ url: `${url}/` }, 202, "grpc"],
        [{ url: "ftp://127.0.0.1:9" }, 400, "url"],
        [{ model_id: "m" }, 202, "grpc"],
        [{ model_id: "" }, 400, "model_id"],
        [{ api_key: "k" }, 202, "grpc"],
        [{ api_key: "" }, 400, "api_key"],
        [{ worker_type: "regular" }, 202, "grpc"],
        [{ worker_type: "prefill" }, 400, "worker_type"],
        [{ bootstrap_port: 8998 }, 202, "grpc"],
        [{ bootstrap_port: 0 }, 400, "bootstrap_port"],
        [{ policy: "random" }, 202, "grpc"],
        [{ policy: "nope" }, 400, "policy"],
        [{ labels: { zone: "a" } }, 202, "grpc"],
        [{ labels: { policy: "nope" } }, 400, "policy"],
        [{ priority: 1 }, 202, "grpc"],
        [{ priority: -1 }, 400, "priority"],
        [{ cost: 0 }, 202, "grpc"],
        [{ cost: "high" }, 400, "cost"],
        [{ health: { timeout_secs: 1 } }, 202, "grpc"],
        [{ health: { timeout_secs: 0 } }, 400, "health.timeout_secs"],
        [{ tokenizer_path: "/x" }, 400, "labels.tokenizer_path"],
        [{ source: "file" }, 400, "source"],
        [{ connection_mode: "http" }, 400, "connection_mode"],
      ];
      for (const [fields, status, told] of cases)
        expect([fields, ...(await send(fields))]).toEqual([fields, status, told]);
    });
  }

  test("each worker names its source, also after a change, and the list says how the sources stand", async () => {
    await using one = await startEngine({ model: "a" });
    await using two = await startEngine({ model: "b" });
    await using gateway = await startGateway({ workers: [one.url] });
    await call(`${gateway.url}/workers?wait=true`, "POST", { url: two.url });
    const id = gateway.context.workerRegistry.getByUrl(one.url)?.id ?? "";
    await call(`${gateway.url}/workers/${id}?wait=true`, "PUT", { url: one.url, cost: 2 });
    await call(`${gateway.url}/workers/${id}?wait=true`, "PATCH", { priority: 2 });
    const { json } = await call(`${gateway.url}/workers`);
    expect((json["workers"] as Json[]).map(({ url, source, cost }) => [url, source, cost])).toEqual([
      [one.url, "command_line", 2],
      [two.url, "api", 1],
    ]);
    expect(json["sources"]).toEqual([
      { name: "command_line", state: "ready", reason: null, wanted: 1, refused: 0, silent_secs: null },
    ]);
  });

  test("the list keeps to a model", async () => {
    await using one = await startEngine({ model: "a" });
    await using two = await startEngine({ model: "b" });
    await using gateway = await startGateway({ workers: [one.url, two.url] });
    const { json } = await call(`${gateway.url}/workers?model=b`);
    expect([json["total"], (json["workers"] as Json[])[0]?.["url"], json["stats"]]).toEqual([
      1,
      two.url,
      { prefill_count: 0, decode_count: 0, regular_count: 1 },
    ]);
  });
});

describe("the seed's calls", () => {
  for (const form of ["body", "query"] as const) {
    test(`add, list and remove with the url in the ${form}`, async () => {
      await using engine = await startEngine();
      await using gateway = await startGateway();
      const send = (path: string, url: string): ReturnType<typeof call> =>
        form === "query"
          ? call(`${gateway.url}${path}?url=${encodeURIComponent(url)}`, "POST")
          : call(gateway.url + path, "POST", { url });
      const added = await send("/add_worker", engine.url);
      expect([added.status, added.json["success"], (added.json["worker"] as Json)["url"]]).toEqual([
        200,
        true,
        engine.url,
      ]);
      expect((await send("/add_worker", engine.url)).status).toBe(409);
      const listed = await call(`${gateway.url}/list_workers`);
      expect([listed.json["success"], listed.json["urls"]]).toEqual([true, [engine.url]]);
      const removed = await send("/remove_worker", engine.url);
      expect([removed.status, removed.json["success"], removed.json["worker"]]).toEqual([200, true, null]);
      const again = await send("/remove_worker", engine.url);
      expect([again.status, (again.json["error"] as Json)["code"]]).toEqual([404, "worker_not_found"]);
    });
  }
});

describe("while requests run", () => {
  test("a removed worker gets no new request, and its stream runs to its end", async () => {
    let finish: (() => void) | undefined;
    await using old = await startRawEngine(({ write }) => {
      write(STREAM_HEAD + deltaChunk("one"));
      finish = () => write(`${deltaChunk("two")}e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n`);
    });
    await using young = await startEngine({ model: "raw" });
    await using gateway = await startGateway({ workers: [old.url] });
    const client = await openRaw(
      gateway.url,
      rawPost("/v1/chat/completions", { ...HELLO, model: "raw", stream: true }),
    );
    await client.until("one");
    await call(`${gateway.url}/workers?wait=true`, "POST", { url: young.url });
    const id = gateway.context.workerRegistry.getByUrl(old.url)?.id ?? "";
    expect((await call(`${gateway.url}/workers/${id}`, "DELETE")).status).toBe(202);
    expect((await call(`${gateway.url}/workers/${id}`)).json["status"]).toBe("draining");
    for (let count = 0; count < 6; count += 1)
      await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model: "raw" });
    expect([old.generations, young.requests.length]).toEqual([1, 6]);
    finish?.();
    expect(await client.until("[DONE]")).toContain("two");
    while (gateway.context.workerRegistry.get(id)) await Bun.sleep(5);
    expect(gateway.context.ledger.totals().inFlight).toBe(0);
    client.hangUp();
  });

  test("a worker that is not up yet is kept pending, and is used when it comes", async () => {
    const probe = await startEngine();
    const { port } = probe;
    await probe.stop();
    await using gateway = await startGateway({ workers: [`http://127.0.0.1:${port}`], isUnready: true });
    const early = await post(`${gateway.url}/v1/chat/completions`, HELLO);
    expect([early.status, early.headers.get("retry-after")]).toEqual([503, "10"]);
    expect((await fetch(`${gateway.url}/readiness`)).status).toBe(503);
    await using engine = await startEngine({ port });
    const [worker] = gateway.context.workerRegistry.all();
    while (gateway.context.workerRegistry.get(worker?.id ?? "")?.status !== "ready") await Bun.sleep(5);
    expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
    expect(await (await fetch(`${gateway.url}/readiness`)).json()).toEqual({
      status: "ready",
      healthy_workers: 1,
      total_workers: 1,
    });
    expect(engine.requests.length).toBe(1);
  });
});
