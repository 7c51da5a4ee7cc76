import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setUpFleet } from "../../test/support/fleet.ts";
import { GatewayError } from "../errors/errors.ts";
import type { KvTransferInfo, Worker, WorkerInfo } from "../worker/worker.ts";
import type { HealthSettings } from "../worker/worker-spec.ts";
import * as sglangMessages from "../transport/grpc/generated/engine/sglang.ts";
import * as trtllmMessages from "../transport/grpc/generated/engine/trtllm.ts";
import * as vllmMessages from "../transport/grpc/generated/engine/vllm.ts";
import type { Engine } from "./engine.ts";
import { codecOf, ENGINES, engineNamed, engineOf } from "./engines.ts";
import { createGrpcProber } from "./grpc-prober.ts";
import { createHttpProber } from "./http-prober.ts";
import type { Page } from "./probe-client.ts";
import { SGLANG } from "./sglang/methods.ts";
import { TRTLLM } from "./trtllm/methods.ts";
import { VLLM } from "./vllm/methods.ts";

/** Recorded answers of a worker of this engine, and the facts that the gateway must read from them. */
interface Recorded {
  readonly engine: string;
  /** Pages by path. */
  readonly pages: Readonly<Record<string, unknown>>;
  readonly overHttp: Partial<WorkerInfo>;
  /** Messages by method. */
  readonly messages: Readonly<Record<string, Uint8Array>>;
  readonly overGrpc: Partial<WorkerInfo> | undefined;
}

const NO_KV: Pick<KvTransferInfo, "engineId" | "bootstrapPort" | "dataParallelSize"> = {
  engineId: undefined,
  bootstrapPort: undefined,
  dataParallelSize: 1,
};

const VLLM_METRICS = `# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.76418011125e+09
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="True",engine="0",kv_cache_size_tokens="290912",num_cpu_blocks="None",num_gpu_blocks="18999",num_gpu_blocks_override="None"} 1.0
vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="True",engine="1",num_cpu_blocks="None",num_gpu_blocks="18182",num_gpu_blocks_override="None"} 1.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
vllm:num_requests_running{engine="0",model_name="qwen"} 0.0
`;

const RECORDED: readonly Recorded[] = [
  {
    engine: "sglang",
    pages: {
      "/v1/models": { object: "list", data: [{ id: "qwen", owned_by: "sglang", max_model_len: 32_768 }] },
      "/get_model_info": { model_path: "/models/qwen", is_generation: true },
      "/server_info": {
        version: "0.5.6",
        disaggregation_mode: "prefill",
        disaggregation_bootstrap_port: 8997,
        dp_size: 2,
        status: "ready",
        max_total_num_tokens: 20_480,
        max_req_input_len: 20_474,
      },
    },
    overHttp: {
      models: ["qwen"],
      engine: "sglang",
      engineVersion: "0.5.6",
      maxModelLen: 32_768,
      kvCapacityTokens: 40_960,
      startedAt: undefined,
      kv: { ...NO_KV, connector: "sglang", bootstrapPort: 8997, dataParallelSize: 2 },
    },
    messages: {
      [SGLANG.healthCheck]: sglangMessages.HealthCheckResponse.encode({ healthy: true, message: "" }).finish(),
      [SGLANG.getModelInfo]: sglangMessages.GetModelInfoResponse.encode(
        sglangMessages.GetModelInfoResponse.fromPartial({ modelPath: "/models/qwen", maxContextLength: 32_768 }),
      ).finish(),
      [SGLANG.getServerInfo]: sglangMessages.GetServerInfoResponse.encode(
        sglangMessages.GetServerInfoResponse.fromPartial({
          sglangVersion: "0.5.6",
          serverArgs: { disaggregation_mode: "decode", dp_size: 4 },
          maxTotalNumTokens: 30_000,
          startTime: { seconds: 1_764_180_000n, nanos: 5 },
        }),
      ).finish(),
    },
    overGrpc: {
      models: ["/models/qwen"],
      engine: "sglang",
      engineVersion: "0.5.6",
      maxModelLen: 32_768,
      kvCapacityTokens: 120_000,
      startedAt: 1_764_180_000_000,
      kv: { ...NO_KV, connector: "sglang", dataParallelSize: 4 },
    },
  },
  {
    engine: "vllm",
    pages: {
      "/v1/models": { object: "list", data: [{ id: "qwen", owned_by: "vllm", max_model_len: 4096 }] },
      "/version": { version: "0.32.0" },
      "/server_info?config_format=json": {
        vllm_config: { kv_transfer_config: { kv_connector: "NixlConnector", engine_id: "e1" } },
      },
      "/metrics": VLLM_METRICS,
    },
    overHttp: {
      models: ["qwen"],
      engine: "vllm",
      engineVersion: "0.32.0",
      maxModelLen: 4096,
      // The second engine is of a version that does not tell its tokens.
      kvCapacityTokens: 290_912 + 18_182 * 16,
      startedAt: 1_764_180_111_250,
      kv: { ...NO_KV, connector: "NixlConnector", engineId: "e1" },
    },
    messages: {
      [VLLM.healthCheck]: vllmMessages.HealthCheckResponse.encode({ healthy: true, message: "" }).finish(),
      [VLLM.getModelInfo]: vllmMessages.GetModelInfoResponse.encode(
        vllmMessages.GetModelInfoResponse.fromPartial({ servedModelName: "qwen", maxContextLength: 4096 }),
      ).finish(),
      [VLLM.getServerInfo]: vllmMessages.GetServerInfoResponse.encode(
        vllmMessages.GetServerInfoResponse.fromPartial({ kvConnector: "NixlConnector", kvEngineId: "e1" }),
      ).finish(),
      [VLLM.getLoads]: vllmMessages.GetLoadsResponse.encode(
        vllmMessages.GetLoadsResponse.fromPartial({
          loads: [
            { dpRank: 0, maxTotalNumTokens: 290_912 },
            { dpRank: 1, maxTotalNumTokens: 290_900 },
          ],
        }),
      ).finish(),
    },
    overGrpc: {
      models: ["qwen"],
      engine: "vllm",
      engineVersion: undefined,
      maxModelLen: 4096,
      kvCapacityTokens: 581_812,
      startedAt: undefined,
      kv: { ...NO_KV, connector: "NixlConnector", engineId: "e1" },
    },
  },
  {
    engine: "trtllm",
    pages: {
      "/v1/models": { object: "list", data: [{ id: "qwen", owned_by: "tensorrt_llm" }] },
      "/version": { version: "1.1.0" },
    },
    overHttp: {
      models: ["qwen"],
      engine: "tensorrt_llm",
      engineVersion: "1.1.0",
      maxModelLen: undefined,
      kv: undefined,
    },
    messages: {
      [TRTLLM.healthCheck]: trtllmMessages.HealthCheckResponse.encode({ status: "OK" }).finish(),
      [TRTLLM.getModelInfo]: trtllmMessages.GetModelInfoResponse.encode(
        trtllmMessages.GetModelInfoResponse.fromPartial({ modelId: "qwen", maxSeqLen: 8192 }),
      ).finish(),
    },
    overGrpc: { models: ["qwen"], engine: "trtllm", engineVersion: undefined, maxModelLen: 8192, kv: undefined },
  },
  {
    engine: "openai",
    pages: { "/v1/models": { object: "list", data: [{ id: "qwen", owned_by: "somebody" }] } },
    overHttp: { models: ["qwen"], engine: "somebody", engineVersion: undefined, maxModelLen: undefined, kv: undefined },
    messages: {},
    overGrpc: undefined,
  },
];

const SETTINGS: HealthSettings = {
  endpoint: "/health",
  intervalMs: 1000,
  timeoutMs: 1000,
  failureThreshold: 1,
  successThreshold: 1,
  disabled: false,
};

function unknown(url: string): Worker {
  return setUpFleet().add(url, { workerType: "prefill" });
}

/** A worker as the registry has it once the probe has found this out. */
function found(worker: Worker, info: WorkerInfo): Worker {
  return worker.with({ info });
}

function recordedOf({ name }: Engine): Recorded {
  const recorded = RECORDED.find(({ engine }) => engine === name);
  if (!recorded) throw new Error(`nothing is recorded of ${name}`);
  return recorded;
}

const FOLDER = import.meta.dir;

for (const engine of ENGINES) {
  describe(`the engine ${engine.name}`, () => {
    const recorded = recordedOf(engine);

    test("goes by its name, and by what its servers call themselves", () => {
      for (const name of [engine.name, ...engine.probe.owners]) expect(engineNamed(name)).toBe(engine);
    });

    test("has a folder of its name, with a file for each part that it has", () => {
      const parts = {
        "chat-form": engine.chatForm,
        codec: engine.codec,
        connectors: engine.connectors,
        engine,
        methods: engine.codec,
        probe: engine.probe,
        questions: engine.questions,
      };
      const has = Object.entries(parts).flatMap(([file, part]) => (part === undefined ? [] : [`${file}.ts`]));
      const files = readdirSync(join(FOLDER, engine.name)).filter((file) => !file.endsWith(".test.ts"));
      expect(files.toSorted()).toEqual(has.toSorted());
    });

    test("is found out over HTTP from what it answers", async () => {
      const prober = createHttpProber({
        health: () => Promise.resolve(undefined),
        page: async ({ path }): Promise<Page> => {
          const value = recorded.pages[path];
          return value === undefined ? { kind: "none" } : { kind: "json", value };
        },
        text: async ({ path }) => {
          const value = recorded.pages[path];
          return typeof value === "string" ? value : "";
        },
      });
      const worker = unknown("http://w:1");
      const { info, missing } = await prober.ask(worker, SETTINGS, undefined);
      expect(missing).toBeUndefined();
      expect(info).toMatchObject(recorded.overHttp);
      expect(engineOf(found(worker, info))).toBe(engine);
    });

    test("is asked over gRPC in all its parts, or in none", () => {
      const parts = [engine.probe.grpc, engine.questions.grpc, engine.codec];
      expect(new Set(parts.map((part) => part !== undefined)).size).toBe(1);
      expect(parts[0] !== undefined).toBe(recorded.overGrpc !== undefined);
    });

    test("is found out over gRPC from what it answers, or not at all", async () => {
      const prober = createGrpcProber({
        call: async (_to, method) => {
          const message = recorded.messages[method];
          if (message) return message;
          throw new GatewayError("upstream_unimplemented", "unknown service");
        },
      });
      const worker = unknown("grpc://w:1");
      const { info, missing } = await prober.ask(worker, SETTINGS, undefined);
      const health = await prober.health(worker, SETTINGS);
      if (recorded.overGrpc) {
        expect([missing, health]).toEqual([undefined, undefined]);
        expect(info).toMatchObject(recorded.overGrpc);
        expect(engineOf(found(worker, info))).toBe(engine);
        expect(codecOf(found(worker, info))).toBe(engine.codec ?? codecOf(worker));
      } else {
        const failure = {
          code: "upstream_unimplemented",
          reason: "it has none of the gRPC services of SGLang, vLLM and TensorRT-LLM",
        } as const;
        expect([missing, health, info.engine]).toEqual([failure, failure, undefined]);
        expect(() => codecOf(worker)).toThrow("cannot be spoken to over gRPC");
      }
    });

    test("calls connectors by names in lower case, and its default is one of them", () => {
      if (!engine.connectors) return;
      const { named, byDefault } = engine.connectors;
      expect([...named.keys()]).toEqual([...named.keys()].map((name) => name.toLowerCase()));
      expect([...named.values()]).toContain(byDefault);
    });
  });
}

test("no two engines have one name, and none has a connector of another's name", () => {
  const names = ENGINES.flatMap(({ name, probe }) => [...new Set([name, ...probe.owners])]);
  expect(names).toEqual([...new Set(names)]);
  const connectors = ENGINES.flatMap((engine) => [...(engine.connectors?.named.keys() ?? [])]);
  expect(connectors).toEqual([...new Set(connectors)]);
});

test("at most one engine is meant by a bootstrap port", () => {
  expect(ENGINES.filter(({ connectors }) => connectors?.isMeantByBootstrapPort === true)).toHaveLength(1);
});

test("a worker that has said nothing is any OpenAI-compatible server", () => {
  expect(engineOf(unknown("http://w:1")).name).toBe("openai");
});

test("a server that names no owner is known by the pages that it has", () => {
  const engineBehind = (modelInfo: object, version: object): string | undefined =>
    ENGINES.find(({ probe }) => probe.isKnownBy({ modelInfo: { ...modelInfo }, version: { ...version } }))?.name;
  expect([engineBehind({ model_path: "m" }, {}), engineBehind({}, { version: "1" }), engineBehind({}, {})]).toEqual([
    "sglang",
    "vllm",
    undefined,
  ]);
});
