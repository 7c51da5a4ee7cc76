import { describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import { Secret } from "../../src/util/secret.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway, type TestGateway } from "../support/gateway.ts";
import { metricOf } from "../support/pd-gateway.ts";
import { startProcess } from "../support/process.ts";

const CHAT = "/v1/chat/completions";

interface Leg {
  readonly role: string;
  readonly policy: string;
  readonly worker: string;
  readonly reason: string;
  readonly candidates: number;
  readonly outcome: string;
  readonly ttft_ms?: number;
  readonly prompt_tokens?: number;
  readonly predicted_ttft_ms?: number;
  readonly considered?: readonly {
    readonly worker: string;
    readonly cost: number;
    readonly terms?: Readonly<Record<string, number>>;
  }[];
}

interface Decisions {
  readonly decisions: readonly {
    readonly time: string;
    readonly request_id: string;
    readonly model: string;
    readonly stream: boolean;
    readonly attempt: number;
    readonly legs: readonly Leg[];
  }[];
  readonly log_size: number;
}

async function decisions({ url }: Pick<TestGateway, "url">, query = ""): Promise<Decisions> {
  return (await (await fetch(`${url}/debug/decisions${query}`)).json()) as Decisions;
}

async function chat({ url }: Pick<TestGateway, "url">, id: string, body: object = {}): Promise<void> {
  await (await post(`${url}${CHAT}`, { ...HELLO, ...body }, { "x-request-id": id, connection: "close" })).text();
}

test("each request's choice is there with what came of it, the newest first", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { defaultPolicy: "shortest_queue", decisionExplainRatio: 1 },
  });
  const from = Date.now();
  await chat(gateway, "first");
  await chat(gateway, "second", { stream: true });
  const found = await decisions(gateway);
  expect(found.decisions.map(({ request_id }) => request_id)).toEqual(["second", "first"]);
  const [second] = found.decisions;
  expect(second).toMatchObject({ model: "sim-1", stream: true, attempt: 1 });
  expect(second?.legs).toEqual([
    expect.objectContaining({
      role: "regular",
      policy: "shortest_queue",
      worker: engine.url,
      reason: "only_one",
      candidates: 1,
      unit: "points",
      cost: 0,
      considered: [{ worker: engine.url, cost: 0 }],
      outcome: "ok",
    }),
  ]);
  expect(second?.legs[0]?.ttft_ms).toBeGreaterThan(0);
  expect(Math.abs(Date.parse(second?.time ?? "") - from)).toBeLessThan(60_000);
});

test("a request that failed at one worker has a try for each, with the way it ended there", async () => {
  await using good = await startEngine();
  const gone = await startEngine();
  await using gateway = await startGateway({ workers: [gone.url, good.url] });
  await gone[Symbol.asyncDispose]();
  for (const id of ["a", "b"]) await chat(gateway, id);
  const { decisions: all } = await decisions(gateway);
  const twice = all.find(({ attempt }) => attempt === 2);
  const tries = (await decisions(gateway, `?request_id=${twice?.request_id}`)).decisions;
  expect(tries.map(({ attempt, legs: [leg] }) => [attempt, leg?.worker, leg?.outcome])).toEqual([
    [2, good.url, "ok"],
    [1, gone.url, "upstream_connect_failed"],
  ]);
});

test("they are asked for by request, model, worker and number, and what makes no sense is refused", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url] });
  for (const id of ["a", "b", "c"]) await chat(gateway, id);
  const ids = async (query: string): Promise<string[]> =>
    (await decisions(gateway, query)).decisions.map(({ request_id }) => request_id);
  expect(await ids("?request_id=b")).toEqual(["b"]);
  expect(await ids("?limit=2")).toEqual(["c", "b"]);
  expect(await ids(`?worker=${encodeURIComponent(engine.url)}/&model=sim-1`)).toEqual(["c", "b", "a"]);
  expect(await ids("?model=other")).toEqual([]);
  for (const wrong of ["?limit=0", "?limit=many", "?since=yesterday"]) {
    expect([wrong, (await fetch(`${gateway.url}/debug/decisions${wrong}`)).status]).toEqual([wrong, 400]);
  }
});

test("only the last ones are kept, and none where the log has no place", async () => {
  await using engine = await startEngine();
  await using small = await startGateway({ workers: [engine.url], config: { decisionLogSize: 2 } });
  for (const id of ["a", "b", "c"]) await chat(small, id);
  const found = await decisions(small);
  expect([found.decisions.map(({ request_id }) => request_id), found.log_size]).toEqual([["c", "b"], 2]);
  await using none = await startGateway({ workers: [engine.url], config: { decisionLogSize: 0 } });
  await chat(none, "a");
  expect(await decisions(none)).toEqual({ decisions: [], log_size: 0 });
});

test("nothing of what was asked or answered is in it, nor a key", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { apiKey: new Secret("serving-key"), adminApiKey: new Secret("admin-key"), decisionExplainRatio: 1 },
  });
  const headers = { authorization: "Bearer serving-key", "x-routing-key": "patient-7" };
  const body = { ...HELLO, messages: [{ role: "user", content: "the secret plan" }], user: "patient-8" };
  const answer = await (await post(`${gateway.url}${CHAT}`, body, headers)).text();
  const page = await fetch(`${gateway.url}/debug/decisions`, { headers: { authorization: "Bearer admin-key" } });
  const text = await page.text();
  expect(text).toContain(engine.url);
  const said = /"content":"([^"]{3,})/.exec(answer)?.[1] ?? "";
  expect(said).not.toBe("");
  for (const secret of ["secret plan", "serving-key", "admin-key", "patient", said]) expect(text).not.toContain(secret);
});

test("they are the administration's: nobody else may see them", async () => {
  await using gateway = await startGateway({
    config: { apiKey: new Secret("serving"), adminApiKey: new Secret("admin") },
  });
  const status = async (key: string): Promise<number> =>
    (await fetch(`${gateway.url}/debug/decisions`, { headers: { authorization: `Bearer ${key}` } })).status;
  expect([await status("admin"), await status("serving"), await status("other")]).toEqual([200, 403, 401]);
});

test("the default policy says in seconds what it expected of each candidate, and metrics compare it with what came", async () => {
  await using one = await startEngine();
  await using two = await startEngine();
  const { config } = loadConfig({ env: {}, flags: NO_FLAGS });
  await using gateway = await startGateway({
    workers: [one.url, two.url],
    config: { defaultPolicy: config.defaultPolicy, decisionExplainRatio: 1 },
  });
  for (const id of ["a", "b", "c"]) await chat(gateway, id, { stream: true });
  const [leg] = (await decisions(gateway, "?request_id=c")).decisions[0]?.legs ?? [];
  expect(leg?.considered?.map(({ worker }) => worker).sort()).toEqual([one.url, two.url].sort());
  for (const { cost, terms = {} } of leg?.considered ?? []) {
    expect(Object.keys(terms)).toContain("waiting");
    const sum = Object.values(terms).reduce((total, term) => total + term, 0);
    expect(sum).toBeCloseTo(cost, 4);
  }
  expect([leg?.policy, leg?.outcome]).toEqual([config.defaultPolicy, "ok"]);
  expect(leg?.predicted_ttft_ms).toBeGreaterThan(0);
  expect(leg?.ttft_ms).toBeGreaterThan(0);
  expect(await metricOf(gateway, "pointsman_ttft_prediction_error_count", { model: "sim-1" })).toBe(3);
  expect(gateway.lines.every((line) => Number(line["predicted_ttft_ms"]) > 0)).toBe(true);
});

test("where the administration has a port of its own they are there and nowhere else", async () => {
  await using gateway = await startGateway({ config: { adminPort: 0 } });
  const status = async (url = ""): Promise<number> => (await fetch(`${url}/debug/decisions`)).status;
  expect([await status(gateway.url), await status(gateway.server.adminUrl)]).toEqual([404, 200]);
});

describe("with several threads", () => {
  test("those of all threads are put together", async () => {
    await using engine = await startEngine();
    await using gateway = await startProcess(["--threads", "2"]);
    expect((await post(`${gateway.url}/workers?wait=true`, { url: engine.url })).status).toBe(201);
    const ids = Array.from({ length: 24 }, (_, index) => `r${index}`);
    await Promise.all(ids.map((id) => chat(gateway, id)));
    const found = await decisions(gateway, "?limit=1000");
    expect(found.decisions.map(({ request_id }) => request_id).sort()).toEqual(ids.sort());
    const times = found.decisions.map(({ time }) => Date.parse(time));
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  }, 60_000);
});
