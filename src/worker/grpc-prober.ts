import { asGatewayError } from "../errors/errors.ts";
import * as sglang from "../transport/grpc/generated/engine/sglang.ts";
import * as trtllm from "../transport/grpc/generated/engine/trtllm.ts";
import * as vllm from "../transport/grpc/generated/engine/vllm.ts";
import type { GrpcClient } from "../transport/grpc/grpc-client.ts";
import { SGLANG, TRTLLM, VLLM } from "../transport/grpc/services.ts";
import type { Clock } from "../util/clock.ts";
import { failureOf, type ProbeFailure } from "./probe-client.ts";
import type { WorkerFacts, WorkerProber } from "./prober.ts";
import type { KvTransferInfo, Worker, WorkerInfo } from "./worker.ts";
import type { HealthSettings } from "./worker-spec.ts";

type Call = (method: string, request: Uint8Array) => Promise<Uint8Array>;

/** What one engine's service is asked with. */
interface Service {
  readonly engine: string;
  isHealthy(call: Call): Promise<boolean>;
  ask(call: Call): Promise<Omit<WorkerInfo, "models" | "cards"> & { readonly model: string | undefined }>;
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
        ...(worker.spec.apiKey ? { metadata: { authorization: worker.spec.apiKey.bearer() } } : {}),
      });
  const ask = async (
    worker: Worker,
    { timeoutMs }: HealthSettings,
    modelFallback: string | undefined,
  ): Promise<WorkerFacts> => {
    const call = callOf(worker, timeoutMs);
    const found = await firstKnown(worker, timeoutMs, (service) => service.ask(call));
    const said = "value" in found ? found.value : undefined;
    const model = said?.model ?? modelFallback;
    return {
      info: {
        models: model === undefined ? [] : [model],
        cards: [],
        engine: said?.engine,
        engineVersion: said?.engineVersion,
        maxModelLen: said?.maxModelLen,
        kv: said?.kv,
      },
      listing: said && JSON.stringify([said.model, said.maxModelLen]),
      missing: "failure" in found ? found.failure : undefined,
    };
  };
  return {
    async health(worker, { timeoutMs }) {
      const call = callOf(worker, timeoutMs);
      const found = await firstKnown(worker, timeoutMs, (service) => service.isHealthy(call));
      if ("failure" in found) return found.failure;
      return found.value
        ? undefined
        : { code: "upstream_unavailable", reason: "its health service says that it is not well" };
    },
    ask,
    listing: async (worker, settings) => (await ask(worker, settings, undefined)).listing,
  };
}

/** The answer of the service that the worker has, or why there is none. */
async function firstKnown<T>(
  { info }: Worker,
  timeoutMs: number,
  question: (service: Service) => Promise<T>,
): Promise<{ readonly value: T } | { readonly failure: ProbeFailure }> {
  const known = SERVICES.filter(({ engine }) => engine === info.engine);
  for (const service of known.length > 0 ? known : SERVICES) {
    try {
      return { value: await question(service) };
    } catch (thrown) {
      // It lives and has another service; or it does not answer, which is the answer.
      const error = asGatewayError(thrown);
      if (error.code !== "upstream_unimplemented")
        return { failure: failureOf(error, "the health service", timeoutMs) };
    }
  }
  const reason = "it has none of the gRPC services of SGLang, vLLM and TensorRT-LLM";
  return { failure: { code: "upstream_unimplemented", reason } };
}

/** proto3 says nothing by an empty text. */
function said(text: string): string | undefined {
  return text === "" ? undefined : text;
}

function positive(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}
