import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineOptions, RecordedRequest, SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { dataOf, eventsOf } from "../support/answers.ts";
import { eventually, openaiError } from "../faults/observe.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway, type TestGateway } from "../support/gateway.ts";
import { metricOf } from "../support/pd-gateway.ts";
import { startProcess } from "../support/process.ts";

const CHAT = "/v1/chat/completions";
const AWARE = { dpAware: true };

const urlsOf = ({ context }: TestGateway): string[] => context.workerRegistry.all().map(({ url }) => url);
const ranksOf = ({ requests }: SimulatedEngine): number[] => requests.map(({ rank }) => rank).toSorted((a, b) => a - b);

/** What a request says of its rank: header, and the members of the body. */
function named({ headers, body }: RecordedRequest): readonly unknown[] {
  const json = JSON.parse(body) as Record<string, unknown>;
  return [headers["x-data-parallel-rank"], json["routed_dp_rank"], json["data_parallel_rank"]];
}

async function ask(gateway: TestGateway, times: number, body: object = HELLO): Promise<void> {
  for (let count = 0; count < times; count += 1) {
    const response = await post(`${gateway.url}${CHAT}`, body);
    expect([response.status, (await response.text()).length > 0]).toEqual([200, true]);
  }
}

/** The code of an error. */
async function codeOf(response: Response): Promise<string | number | null> {
  return openaiError(await response.text()).code;
}

async function administer(gateway: TestGateway, method: string, path: string, body?: object): Promise<Response> {
  const sent = body ? { body: JSON.stringify(body), headers: { "content-type": "application/json" } } : {};
  return fetch(`${gateway.url}${path}`, { method, ...sent });
}

describe.each(["sglang", "vllm"] as const)("the ranks of %s", (kind) => {
  const start = (options: EngineOptions = {}): Promise<SimulatedEngine> => startEngine({ kind, dpSize: 4, ...options });

  test("are workers in turn, each of which gets the requests that are meant for it", async () => {
    await using engine = await start();
    await using gateway = await startGateway({ workers: [engine.url], config: AWARE });
    expect(urlsOf(gateway)).toEqual([0, 1, 2, 3].map((rank) => `${engine.url}@${rank}`));
    await ask(gateway, 8);
    expect(ranksOf(engine)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    for (const request of engine.requests) {
      const { rank } = request;
      const members = kind === "sglang" ? [rank, rank] : [undefined, undefined];
      expect(named(request)).toEqual([String(rank), ...members]);
    }
    expect(await metricOf(gateway, "pointsman_worker_attempts_total", { worker: `${engine.url}@2` })).toBe(2);
    expect(gateway.lines.map((line) => String(line["worker_url"])).toSorted()).toEqual(
      [0, 0, 1, 1, 2, 2, 3, 3].map((rank) => `${engine.url}@${rank}`),
    );
  });

  test("stream, and ranks that a client names are not taken, nor its header where headers are forwarded", async () => {
    await using engine = await start();
    const config = { ...AWARE, forwardHeaders: ["x-data-parallel-rank"] };
    await using gateway = await startGateway({ workers: [engine.url], config });
    const body = { ...HELLO, stream: true, data_parallel_rank: 77, routed_dp_rank: 77 };
    for (let count = 0; count < 4; count += 1) {
      const response = await post(`${gateway.url}${CHAT}`, body, { "x-data-parallel-rank": "66" });
      const text = await response.text();
      expect([response.status, dataOf(text).length > 1, eventsOf(text).at(-1)?.data]).toEqual([200, true, "[DONE]"]);
    }
    expect(ranksOf(engine)).toEqual([0, 1, 2, 3]);
    for (const request of engine.requests) expect(named(request)[0]).toBe(String(request.rank));
  });

  test("are the engine's own affair without the option, and its requests name none", async () => {
    await using engine = await start();
    await using gateway = await startGateway({ workers: [engine.url] });
    await ask(gateway, 4);
    expect([urlsOf(gateway), engine.requests.map(named)]).toEqual([
      [engine.url],
      Array.from({ length: 4 }, () => [undefined, undefined, undefined]),
    ]);
  });

  test("are as many as a worker's own dp_size, and one engine of one rank is asked for none", async () => {
    await using engine = await start();
    await using single = await startEngine({ kind });
    await using gateway = await startGateway({ workers: [single.url], config: AWARE });
    const added = await administer(gateway, "POST", "/workers?wait=true", { url: engine.url, dp_size: 2 });
    expect(await added.json()).toMatchObject({
      url: `${engine.url}@0`,
      dp_base_url: engine.url,
      dp_rank: 0,
      dp_size: 2,
    });
    expect(urlsOf(gateway)).toEqual([`${single.url}@0`, `${engine.url}@0`, `${engine.url}@1`]);
    await ask(gateway, 6);
    expect([ranksOf(engine), single.requests.map(named)]).toEqual([
      [0, 0, 1, 1],
      [
        [undefined, undefined, undefined],
        [undefined, undefined, undefined],
      ],
    ]);
  });

  test("have a share each of the engine's cache", async () => {
    await using engine = await start({ kvTokens: 8000 });
    await using gateway = await startGateway({ workers: [engine.url], config: AWARE });
    expect(gateway.context.workerRegistry.all().map(({ kvCapacityTokens }) => kvCapacityTokens)).toEqual([
      8000, 8000, 8000, 8000,
    ]);
  });

  test("keep the prompts of one conversation where they were", async () => {
    await using engine = await start();
    await using gateway = await startGateway({
      workers: [engine.url],
      config: { ...AWARE, defaultPolicy: "cache_aware" },
    });
    for (const word of ["alpha ", "beta ", "gamma "]) {
      const messages = [{ role: "user", content: word.repeat(400) }];
      await ask(gateway, 3, { ...HELLO, messages });
    }
    const byPrompt = new Map<string, Set<number>>();
    for (const { body, rank } of engine.requests)
      byPrompt.set(body.slice(0, 80), (byPrompt.get(body.slice(0, 80)) ?? new Set()).add(rank));
    expect([...byPrompt.values()].map(({ size }) => size)).toEqual([1, 1, 1]);
  });
});

describe("an address with ranks over the API", () => {
  const four = async (): Promise<{
    engine: SimulatedEngine;
    gateway: TestGateway;
    path: (rank?: number) => string;
  }> => {
    const engine = await startEngine({ kind: "sglang", dpSize: 4 });
    const gateway = await startGateway({ workers: [engine.url], config: AWARE });
    const path = (rank?: number): string =>
      `/workers/${encodeURIComponent(rank === undefined ? engine.url : `${engine.url}@${rank}`)}`;
    return { engine, gateway, path };
  };

  test("is shown as one with the load of all, and each rank alone", async () => {
    const { engine, gateway, path } = await four();
    await using _engine = engine;
    await using _gateway = gateway;
    expect(await (await administer(gateway, "GET", path())).json()).toMatchObject({
      url: engine.url,
      dp_rank: null,
      dp_size: 4,
      load: 0,
      status: "ready",
    });
    expect(await (await administer(gateway, "GET", path(3))).json()).toMatchObject({
      url: `${engine.url}@3`,
      dp_base_url: engine.url,
      dp_rank: 3,
    });
    expect((await administer(gateway, "GET", path(4))).status).toBe(404);
  });

  test("is shown by its name, with the load of all, while its ranks drain, and until the last of them has left", async () => {
    const { engine, gateway, path } = await four();
    await using _engine = engine;
    await using _gateway = gateway;
    const { ledger, workerRegistry } = gateway.context;
    const [first, second] = workerRegistry.all().map(({ slot }) => slot);
    const leases = [first, first, second].map((slot = 0) => ledger.charge(slot, 0, 0));
    const show = async (named: string): Promise<unknown> => (await administer(gateway, "GET", named)).json();
    expect(await show(path())).toMatchObject({ status: "ready", load: 3 });
    const taken = await administer(gateway, "DELETE", path());
    expect([taken.status, await taken.json()]).toMatchObject([202, { url: engine.url }]);
    expect(await show(path())).toMatchObject({ url: engine.url, status: "draining", load: 3 });
    expect(await show(path(1))).toMatchObject({ url: `${engine.url}@1`, status: "draining", load: 1 });
    expect(await codeOf(await administer(gateway, "DELETE", path()))).toBe("worker_not_found");
    for (const lease of leases) lease[Symbol.dispose]();
    await eventually(async () => (await administer(gateway, "GET", path())).status === 404, "gone");
  });

  test("is cordoned as one or rank by rank", async () => {
    const { engine, gateway, path } = await four();
    await using _engine = engine;
    await using _gateway = gateway;
    const cordoned = async (): Promise<unknown> => {
      const view: unknown = await (await administer(gateway, "GET", path())).json();
      return Object(view).cordoned;
    };
    await administer(gateway, "POST", `${path(0)}/cordon`);
    expect(await cordoned()).toBe(false);
    await administer(gateway, "POST", `${path()}/cordon`);
    expect(await cordoned()).toBe(true);
    await administer(gateway, "POST", `${path()}/uncordon`);
    await administer(gateway, "POST", `${path(1)}/cordon`);
    await administer(gateway, "POST", `${path(2)}/cordon`);
    await ask(gateway, 4);
    expect(ranksOf(engine)).toEqual([0, 0, 3, 3]);
    await administer(gateway, "POST", `${path()}/cordon`);
    expect(await codeOf(await post(`${gateway.url}${CHAT}`, HELLO))).toBe("no_available_workers");
    await administer(gateway, "POST", `${path()}/uncordon`);
    await ask(gateway, 4);
    expect(ranksOf(engine)).toEqual([0, 0, 0, 1, 2, 3, 3, 3]);
  });

  test("leaves as one or rank by rank, and a rank comes back by its number", async () => {
    const { engine, gateway, path } = await four();
    await using _engine = engine;
    await using _gateway = gateway;
    const removed = await administer(gateway, "DELETE", `${path(2)}?wait=true`);
    expect(await removed.json()).toMatchObject({ status: "removed", url: `${engine.url}@2` });
    expect(urlsOf(gateway)).toEqual([0, 1, 3].map((rank) => `${engine.url}@${rank}`));
    const wrong = await administer(gateway, "POST", "/workers", { url: engine.url, dp_rank: 9 });
    expect([wrong.status, await codeOf(wrong)]).toEqual([400, "invalid_request"]);
    const known = await administer(gateway, "POST", "/workers", { url: engine.url, dp_rank: 2, cost: 3 });
    expect([known.status, await codeOf(known)]).toEqual([400, "invalid_request"]);
    expect((await administer(gateway, "POST", "/workers", { url: engine.url, dp_rank: 2 })).status).toBe(202);
    expect(urlsOf(gateway).toSorted()).toEqual([0, 1, 2, 3].map((rank) => `${engine.url}@${rank}`));
    expect((await administer(gateway, "POST", "/workers", { url: engine.url })).status).toBe(409);
    const all = await administer(gateway, "POST", `/remove_worker?url=${encodeURIComponent(engine.url)}`);
    expect([all.status, urlsOf(gateway)]).toEqual([200, []]);
  });

  test("is changed as one; a rank alone has its own label, and not its own model", async () => {
    const { engine, gateway, path } = await four();
    await using _engine = engine;
    await using _gateway = gateway;
    expect((await administer(gateway, "PATCH", `${path()}?wait=true`, { cost: 4 })).status).toBe(200);
    expect((await administer(gateway, "PATCH", `${path(1)}?wait=true`, { labels: { a: "b" } })).status).toBe(200);
    expect(gateway.context.workerRegistry.all().map(({ cost, labels }) => [cost, labels["a"]])).toEqual([
      [4, undefined],
      [4, "b"],
      [4, undefined],
      [4, undefined],
    ]);
    const refused = await administer(gateway, "PATCH", path(1), { model_id: "other" });
    expect([refused.status, await codeOf(refused)]).toEqual([400, "invalid_request"]);
  });

  test("is asked once for what concerns all of it, and each rank has its own load", async () => {
    const { engine, gateway } = await four();
    await using _engine = engine;
    await using _gateway = gateway;
    await ask(gateway, 1);
    expect(await (await administer(gateway, "POST", "/flush_cache")).json()).toMatchObject({
      total_workers: 1,
      workers_flushed: 1,
      successful: [engine.url],
    });
    const { workers } = (await (await administer(gateway, "GET", "/get_loads")).json()) as {
      workers: { worker: string; details: { loads: { dp_rank: number }[] } }[];
    };
    expect(workers.map(({ worker, details }) => [worker, details.loads.map((load) => load.dp_rank)])).toEqual(
      [0, 1, 2, 3].map((rank) => [`${engine.url}@${rank}`, [rank]]),
    );
  });
});

describe("health", () => {
  test("is asked once for an address, and counts for all of its ranks", async () => {
    await using engine = await startEngine({ kind: "sglang", dpSize: 8 });
    await using gateway = await startGateway({
      workers: [engine.url],
      config: { ...AWARE, healthCheckIntervalSecs: 0.05, healthFailureThreshold: 1, healthSuccessThreshold: 1 },
    });
    const statuses = (): string[] => [...new Set(gateway.context.workerRegistry.all().map(({ status }) => status))];
    expect(statuses()).toEqual(["ready"]);
    await engine.refuse();
    await eventually(() => statuses().join() === "not_ready", "all ranks are out");
    engine.accept();
    await eventually(() => statuses().join() === "ready", "all ranks are back");
    await ask(gateway, 8);
    expect(ranksOf(engine)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("of an engine that comes back with another number of ranks brings and takes workers", async () => {
    const first = await startEngine({ kind: "vllm", dpSize: 2 });
    await using gateway = await startGateway({
      workers: [first.url],
      config: { ...AWARE, healthCheckIntervalSecs: 0.05, healthFailureThreshold: 1, healthSuccessThreshold: 1 },
    });
    expect(urlsOf(gateway).length).toBe(2);
    await first.stop();
    await eventually(
      () => gateway.context.workerRegistry.all().every(({ status }) => status === "not_ready"),
      "they are out",
    );
    await using second = await startEngine({ kind: "vllm", dpSize: 5, port: first.port });
    await eventually(() => urlsOf(gateway).length === 5, "five ranks");
    await eventually(
      () => gateway.context.workerRegistry.all().every(({ status }) => status === "ready"),
      "they are back",
    );
    await ask(gateway, 5);
    expect(ranksOf(second)).toEqual([0, 1, 2, 3, 4]);
  });

  test("a request whose engine cannot be reached goes to another engine, not to another rank of the same", async () => {
    await using gone = await startEngine({ kind: "vllm", dpSize: 8 });
    await using there = await startEngine({ kind: "vllm" });
    await using gateway = await startGateway({
      workers: [gone.url, there.url],
      config: { ...AWARE, healthCheckIntervalSecs: 60 },
    });
    await gone.refuse();
    await ask(gateway, 12);
    expect(there.requests.length).toBe(12);
  });

  test("a rank whose requests fail is left out alone", async () => {
    await using engine = await startEngine({
      kind: "vllm",
      dpSize: 4,
      respond: ({ rank }) =>
        rank === 2
          ? Response.json({ message: "rank 2 is lost" }, { status: 429, headers: { "retry-after": "30" } })
          : undefined,
    });
    await using gateway = await startGateway({ workers: [engine.url], config: AWARE });
    await ask(gateway, 12);
    const resting = gateway.context.workerRegistry.all().filter(({ restUntil }) => restUntil !== undefined);
    expect(resting.map(({ url }) => url)).toEqual([`${engine.url}@2`]);
  });
});

test("a reload makes the ranks of engines workers, and makes them none, and no request fails meanwhile", async () => {
  await using engine = await startEngine({ kind: "vllm", dpSize: 4 });
  const file = join(mkdtempSync(join(tmpdir(), "pointsman-ranks-")), "config.yaml");
  const write = (option: string): void =>
    writeFileSync(file, `initial_workers: [{ url: "${engine.url}" }]\n${option}\n`);
  write("");
  await using gateway = await startProcess(["--config", file, "--threads", "2"]);
  const urls = async (): Promise<string> => {
    const { workers } = (await (await fetch(`${gateway.url}/workers`)).json()) as { workers: Record<string, string>[] };
    const there = workers.filter(({ status }) => status === "ready");
    return there.map(({ url = "" }) => url.replace(engine.url, "")).join();
  };
  await eventually(async () => (await fetch(`${gateway.url}/readiness`)).ok, "it is ready");
  const statuses = new Map<number, number>();
  const over = new AbortController();
  const traffic = (async (): Promise<void> => {
    while (!over.signal.aborted) {
      const answer = await post(`${gateway.url}${CHAT}`, HELLO);
      await answer.text();
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    }
  })();
  const steps = [
    ["dp_aware: true", "@0,@1,@2,@3"],
    ["dp_size: 2", "@0,@1"],
    ["dp_size: 3", "@0,@1,@2"],
    ["", ""],
  ] as const;
  for (const [option, names] of steps) {
    write(option);
    gateway.signal("SIGHUP");
    await eventually(async () => (await urls()) === names, `${option}: ${names}`);
  }
  over.abort();
  await traffic;
  expect([...statuses.keys()]).toEqual([200]);
  expect(new Set(engine.requests.map(({ rank }) => rank)).size).toBeGreaterThan(1);
}, 30_000);
