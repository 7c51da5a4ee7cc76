import { asGatewayError } from "../errors/errors.ts";
import * as sglang from "../transport/grpc/generated/engine/sglang.ts";
import * as trtllm from "../transport/grpc/generated/engine/trtllm.ts";
import * as vllm from "../transport/grpc/generated/engine/vllm.ts";
import type { GrpcClient } from "../transport/grpc/grpc-client.ts";
import { SGLANG, TRTLLM, VLLM } from "../transport/grpc/services.ts";
import type { Clock } from "../util/clock.ts";
import type { WorkerProber } from "./prober.ts";
import type { KvTransferInfo, Worker, WorkerInfo } from "./worker.ts";

type Call = (method: string, request: Uint8Array) => Promise<Uint8Array>;

/** What one engine's service is asked with. */
interface Service {
  readonly engine: string;
  isHealthy(call: Call): Promise<boolean>;
  ask(call: Call): Promise<Omit<WorkerInfo, "models"> & { readonly model: string | undefined }>;
}

const NOTHING = new Uint8Array(0);

const vllmService: Service = {
  engine: "vllm",
  isHealthy: async (call) => vllm.HealthCheckResponse.decode(await call(VLLM.healthCheck, NOTHING)).healthy,
  async ask(call) {
    const model = vllm.GetModelInfoResponse.decode(await call(VLLM.getModelInfo, NOTHING));
    const server = vllm.GetServerInfoResponse.decode(await call(VLLM.getServerInfo, NOTHING));
    return {
      model: said(model.servedModelName) ?? said(model.modelPath),
      engine: "vllm",
      engineVersion: undefined,
      maxModelLen: positive(model.maxContextLength),
      kv:
        server.kvConnector === ""
          ? undefined
          : {
              connector: server.kvConnector,
              engineId: said(server.kvEngineId),
              bootstrapPort: undefined,
              dataParallelSize: positive(server.dataParallelSize) ?? 1,
            },
    };
  },
};

const sglangService: Service = {
  engine: "sglang",
  isHealthy: async (call) => sglang.HealthCheckResponse.decode(await call(SGLANG.healthCheck, NOTHING)).healthy,
  async ask(call) {
    const model = sglang.GetModelInfoResponse.decode(await call(SGLANG.getModelInfo, NOTHING));
    const server = sglang.GetServerInfoResponse.decode(await call(SGLANG.getServerInfo, NOTHING));
    return {
      model: said(model.servedModelName) ?? said(model.modelPath),
      engine: "sglang",
      engineVersion: said(server.sglangVersion),
      maxModelLen: positive(model.maxContextLength),
      kv: sglangKv(server.serverArgs ?? {}),
    };
  },
};

function sglangKv(args: Readonly<Record<string, unknown>>): KvTransferInfo | undefined {
  const mode = args["disaggregation_mode"];
  if (typeof mode !== "string" || mode === "null" || mode === "") return undefined;
  return {
    connector: "sglang",
    engineId: undefined,
    bootstrapPort: positive(args["disaggregation_bootstrap_port"]),
    dataParallelSize: positive(args["dp_size"]) ?? 1,
  };
}

const trtllmService: Service = {
  engine: "trtllm",
  // It says so in words; that it answers is what counts.
  isHealthy: async (call) =>
    !/unhealthy|error/i.test(trtllm.HealthCheckResponse.decode(await call(TRTLLM.healthCheck, NOTHING)).status),
  async ask(call) {
    const model = trtllm.GetModelInfoResponse.decode(await call(TRTLLM.getModelInfo, NOTHING));
    return {
      model: said(model.modelId),
      engine: "trtllm",
      engineVersion: undefined,
      maxModelLen: positive(model.maxSeqLen),
      kv: undefined,
    };
  },
};

const SERVICES: readonly Service[] = [vllmService, sglangService, trtllmService];

/** Asks gRPC workers, first which of the services they have. */
export function createGrpcProber(grpc: GrpcClient, clock: Clock): WorkerProber {
  const callOf =
    (worker: Worker, timeoutMs: number): Call =>
    (method, request) =>
      grpc.unary(worker.url, method, request, {
        deadline: clock.now() + timeoutMs,
        timeouts: { connectMs: timeoutMs, firstByteMs: timeoutMs, idleMs: timeoutMs },
        ...(worker.spec.apiKey ? { metadata: { authorization: `Bearer ${worker.spec.apiKey.reveal()}` } } : {}),
      });
  return {
    isHealthy: async (worker, { timeoutMs }) => {
      const call = callOf(worker, timeoutMs);
      return (await firstKnown(worker, (service) => service.isHealthy(call))) ?? false;
    },
    ask: async (worker, { timeoutMs }, modelFallback) => {
      const call = callOf(worker, timeoutMs);
      const found = await firstKnown(worker, (service) => service.ask(call));
      const model = found?.model ?? modelFallback;
      return {
        models: model === undefined ? [] : [model],
        engine: found?.engine,
        engineVersion: found?.engineVersion,
        maxModelLen: found?.maxModelLen,
        kv: found?.kv,
      };
    },
  };
}

/** The answer of the service that the worker has; undefined where it has none, or does not answer. */
async function firstKnown<T>({ info }: Worker, question: (service: Service) => Promise<T>): Promise<T | undefined> {
  const known = SERVICES.filter(({ engine }) => engine === info.engine);
  for (const service of known.length > 0 ? known : SERVICES) {
    try {
      return await question(service);
    } catch (thrown) {
      // It lives and has another service; or it does not answer, which is the answer.
      if (asGatewayError(thrown).code !== "upstream_unimplemented") return undefined;
    }
  }
  return undefined;
}

/** proto3 says nothing by an empty text. */
function said(text: string): string | undefined {
  return text === "" ? undefined : text;
}

function positive(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}
