import { describe, expect, test } from "bun:test";
import { failureOf } from "../../test/support/failure-of.ts";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import { pageAnswer } from "../../test/support/page-answer.ts";
import { GatewayError } from "../errors/errors.ts";
import { FlushCacheResponse, ProfileResponse, StartProfileRequest } from "../transport/grpc/generated/engine/common.ts";
import { GetLoadsResponse, HealthCheckResponse } from "../transport/grpc/generated/engine/vllm.ts";
import { Fleet } from "./fleet.ts";
import { readProfileOptions } from "./profile-options.ts";
import { SGLANG } from "./sglang/methods.ts";
import { TRTLLM } from "./trtllm/methods.ts";
import { VLLM } from "./vllm/methods.ts";

/** Status and body of a page. */
type Answer = readonly [status: number, body?: string];

interface Asked {
  readonly fleet: Fleet;
  /** The questions so far: method and path of pages, and methods of services. */
  readonly asked: string[];
  /** What went with the questions, by path or method. */
  readonly bodies: ReadonlyMap<string, Uint8Array>;
}

/** A fleet of these engines, by address, with what they answer by path; what is not given is 404, or unimplemented. */
function setUp(
  workers: Readonly<Record<string, string | undefined>>,
  pages: Readonly<Record<string, Answer>> = {},
  messages: Readonly<Record<string, Uint8Array>> = {},
): Asked & FleetSetup {
  const setup = setUpFleet();
  for (const [url, engine] of Object.entries(workers)) {
    const { id, info } = setup.add(url, { modelId: "m" });
    setup.registry.update(id, { info: { ...info, engine } });
  }
  const asked: string[] = [];
  const bodies = new Map<string, Uint8Array>();
  const fleet = new Fleet({
    workers: setup.registry,
    timeoutMs: 1000,
    client: {
      page: async (_to, { method, path, json }) => {
        asked.push(`${method} ${path}`);
        if (json) bodies.set(path, json);
        const [status, body = ""] = pages[path] ?? [404];
        return pageAnswer(status, body);
      },
      call: async (_to, method, request) => {
        asked.push(method);
        bodies.set(method, request);
        const message = messages[method];
        if (message) return message;
        throw new GatewayError("upstream_unimplemented", "unknown method");
      },
    },
  });
  return { ...setup, fleet, asked, bodies };
}

const flushed = FlushCacheResponse.encode({ success: true, message: "" }).finish();
const profiled = ProfileResponse.encode({ success: true, message: "" }).finish();

describe("to flush a cache", () => {
  const cases: readonly (readonly [engine: string | undefined, asked: readonly string[]])[] = [
    ["sglang", ["POST /flush_cache"]],
    ["vllm", ["POST /reset_prefix_cache"]],
    ["somebody", ["POST /flush_cache", "POST /reset_prefix_cache"]],
    [undefined, ["POST /flush_cache", "POST /reset_prefix_cache"]],
  ];
  for (const [engine, wanted] of cases) {
    test(`${engine ?? "an engine that is not known"} is asked for the pages that it may have`, async () => {
      const { fleet, asked } = setUp({ "http://w:1": engine });
      const [result] = await fleet.flushCaches();
      expect(asked).toEqual([...wanted]);
      expect(result?.error?.message).toBe("the worker did not flush its cache");
    });
  }

  test("a page that is there is the only one", async () => {
    const { fleet, asked } = setUp({ "http://w:1": undefined }, { "/flush_cache": [200] });
    expect((await fleet.flushCaches())[0]?.value).toBe(true);
    expect(asked).toEqual(["POST /flush_cache"]);
  });

  test("a page that fails is not made up for by another", async () => {
    const pages = { "/flush_cache": [500], "/reset_prefix_cache": [200] } as const;
    const { fleet, asked } = setUp({ "http://w:1": undefined }, pages);
    expect((await fleet.flushCaches())[0]?.error?.code).toBe("upstream_error");
    expect(asked).toEqual(["POST /flush_cache"]);
  });

  test("each service is asked by its own method, and one that has none is told so", async () => {
    const { fleet } = setUp(
      { "grpc://s:1": "sglang", "grpc://v:1": "vllm", "grpc://t:1": "trtllm", "grpc://u:1": undefined },
      {},
      {
        [SGLANG.flushCache]: flushed,
        [VLLM.flushCache]: FlushCacheResponse.encode({ success: false, message: "busy" }).finish(),
      },
    );
    const results = await fleet.flushCaches();
    expect(results.map(({ value, error }) => value ?? [error?.code, error?.message])).toEqual([
      true,
      ["upstream_error", "the worker did not flush its cache: busy"],
      ["not_implemented", "the worker's engine has no method to flush its cache"],
      ["not_implemented", "the worker's engine cannot be spoken to over gRPC"],
    ]);
  });
});

describe("the load", () => {
  test("is what the worker says, a list under a name of its own", async () => {
    const old = setUp({ "http://w:1": "sglang" }, { "/get_load": [200, '[{"num_tokens":5}]'] });
    expect((await old.fleet.loads())[0]?.value).toEqual({ loads: [{ num_tokens: 5 }] });
    const now = setUp({ "http://w:1": "sglang" }, { "/v1/loads": [200, '{"load":7}'] });
    expect((await now.fleet.loads())[0]?.value).toEqual({ load: 7 });
  });

  test("is asked for at the next page where a server answers with a page of another kind", async () => {
    const pages = { "/v1/loads": [200, "<html>"], "/get_load": [200, '[{"num_tokens":5}]'] } as const;
    expect((await setUp({ "http://w:1": "sglang" }, pages).fleet.loads())[0]?.value).toEqual({
      loads: [{ num_tokens: 5 }],
    });
    const neither = setUp({ "http://w:1": "sglang" }, { "/v1/loads": [200, "<html>"], "/get_load": [200, ""] });
    expect((await neither.fleet.loads())[0]?.error?.message).toBe("the worker does not report its load");
  });

  test("is among vLLM's metrics, and a worker without the page does not report it", async () => {
    const metrics = 'vllm:num_requests_running{engine="0"} 2\nvllm:num_requests_waiting{engine="0"} 1\n';
    const { fleet } = setUp({ "http://w:1": "vllm" }, { "/metrics": [200, metrics] });
    expect((await fleet.loads())[0]?.value).toEqual({
      loads: [{ dp_rank: 0, num_running_reqs: 2, num_waiting_reqs: 1 }],
    });
    const none = setUp({ "http://w:1": "vllm" });
    expect((await none.fleet.loads())[0]?.error?.message).toBe("the worker does not report its load");
    expect(none.asked).toEqual(["GET /metrics"]);
  });

  test("is told over gRPC with the members of the page", async () => {
    const loads = GetLoadsResponse.encode(
      GetLoadsResponse.fromPartial({ loads: [{ dpRank: 1, numRunningReqs: 2, numUsedTokens: 30 }] }),
    ).finish();
    const { fleet } = setUp({ "grpc://v:1": "vllm", "grpc://t:1": "trtllm" }, {}, { [VLLM.getLoads]: loads });
    const [vllm, trtllm] = await fleet.loads();
    expect(vllm?.value).toMatchObject({ loads: [{ dp_rank: 1, num_running_reqs: 2, num_used_tokens: 30 }] });
    expect(trtllm?.error?.code).toBe("not_implemented");
  });
});

test("profilers are started and stopped by page and by method", async () => {
  const { fleet, asked } = setUp(
    { "http://w:1": "vllm", "grpc://s:1": "sglang" },
    { "/start_profile": [200], "/stop_profile": [500] },
    { [SGLANG.startProfile]: profiled, [SGLANG.stopProfile]: profiled },
  );
  expect((await fleet.startProfiles(undefined)).map(({ value }) => value)).toEqual([true, true]);
  expect((await fleet.stopProfiles()).map(({ error }) => error?.message)).toEqual([
    "the worker answered 500",
    undefined,
  ]);
  expect(asked.toSorted()).toEqual(
    [SGLANG.startProfile, SGLANG.stopProfile, "POST /start_profile", "POST /stop_profile"].toSorted(),
  );
});

test("options of a profiler reach each worker, as the operator wrote them or in the members of a method", async () => {
  const { fleet, bodies } = setUp(
    { "http://w:1": "sglang", "grpc://s:1": "sglang" },
    { "/start_profile": [200] },
    { [SGLANG.startProfile]: profiled },
  );
  const json =
    '{"output_dir": "/tmp/p", "num_steps": 5, "activities": ["GPU"], "with_stack": false, "merge_profiles": true}';
  await fleet.startProfiles(readProfileOptions(Buffer.from(json)));
  expect(Buffer.from(bodies.get("/start_profile") ?? "").toString()).toBe(json);
  expect(StartProfileRequest.decode(bodies.get(SGLANG.startProfile) ?? new Uint8Array(0))).toMatchObject({
    outputDir: "/tmp/p",
    startStep: undefined,
    numSteps: 5,
    activities: ["GPU"],
    withStack: false,
    recordShapes: undefined,
    profileByStage: false,
  });
  for (const [wrong, param] of [
    ['{"num_steps": 0}', "num_steps"],
    ['{"activities": "GPU"}', "activities"],
    ['{"output_dir": 1}', "output_dir"],
  ] as const) {
    expect(() => readProfileOptions(Buffer.from(wrong))).toThrow(param);
  }
  expect(() => readProfileOptions(Buffer.from("{bad"))).toThrow("not valid JSON");
});

test("an order for one address reaches its workers only, and one for no worker is refused", async () => {
  const pages = { "/flush_cache": [200], "/start_profile": [200], "/stop_profile": [200] } as const;
  const { fleet } = setUp({ "http://a:1": "sglang", "http://b:1": "sglang" }, pages);
  const url = "http://b:1";
  for (const results of [
    await fleet.flushCaches(url),
    await fleet.startProfiles(undefined, url),
    await fleet.stopProfiles(url),
  ]) {
    expect(results.map(({ worker, value }) => [worker.url, value])).toEqual([[url, true]]);
  }
  expect(await failureOf(fleet.flushCaches("http://c:1"))).toMatchObject({ code: "worker_not_found" });
});

describe("one that stands for all", () => {
  test("is an available worker over HTTP, or else one over gRPC", async () => {
    const healthy = HealthCheckResponse.encode({ healthy: true, message: "" }).finish();
    const both = setUp({ "grpc://v:1": "vllm", "http://w:1": "vllm" }, { "/health": [200] });
    expect([await both.fleet.isAnyHealthy(), both.asked]).toEqual([true, ["GET /health"]]);
    const grpc = setUp({ "grpc://v:1": "vllm" }, {}, { [VLLM.healthCheck]: healthy });
    expect(await grpc.fleet.isAnyHealthy()).toBe(true);
    const trtllm = setUp({ "grpc://t:1": "trtllm" }, {}, { [TRTLLM.healthCheck]: new Uint8Array(0) });
    expect(await trtllm.fleet.isAnyHealthy()).toBe(true);
  });

  test("is asked to generate where it can", async () => {
    const sglang = setUp({ "http://w:1": "sglang" }, { "/health_generate": [503] });
    expect([await sglang.fleet.isAnyHealthy(), sglang.asked]).toEqual([false, ["GET /health_generate"]]);
  });

  test("says what it is on the page that it has, or on none", async () => {
    const sglang = setUp({ "http://w:1": "sglang" }, { "/model_info": [200, '{"model_path":"m"}'] });
    expect((await sglang.fleet.info("modelInfo")).page).toEqual({ model_path: "m" });
    expect(sglang.asked).toEqual(["GET /get_model_info", "GET /model_info"]);
    const vllm = setUp({ "http://w:1": "vllm" });
    expect([(await vllm.fleet.info("modelInfo")).page, vllm.asked]).toEqual([undefined, []]);
    const unknown = setUp({ "grpc://u:1": undefined });
    expect((await unknown.fleet.info("serverInfo")).page).toBeUndefined();
  });

  test("is missing where nobody is available", async () => {
    expect(await failureOf(setUp({}).fleet.info("modelInfo"))).toMatchObject({ code: "no_available_workers" });
  });
});

test("workers that leave are not asked, and results are in the order of the workers", async () => {
  const { fleet, registry } = setUp({ "http://a:1": "sglang", "http://b:1": "sglang", "http://c:1": "sglang" });
  registry.update(registry.getByUrl("http://b:1")?.id ?? "", { status: "draining" });
  expect((await fleet.flushCaches()).map(({ worker }) => worker.url)).toEqual(["http://a:1", "http://c:1"]);
});
