import type { EngineTiming } from "../../../src/engine-sim/scheduler.ts";
import { EngineCore, type EngineFault, type EngineRecord } from "./engine-core.ts";
import { healthHandlers } from "./health-service.ts";
import type { EngineIdentity } from "./identity.ts";
import { startRpcServer } from "./rpc-server.ts";
import type { Answer } from "./sequence.ts";
import { SglangPd } from "./sglang-pd.ts";
import { sglangHandlers } from "./sglang-service.ts";
import { BYTE_TOKENIZER, type SimTokenizer } from "./tokenizer.ts";
import { type VllmConnector, VllmPd } from "./vllm-pd.ts";
import { vllmHandlers } from "./vllm-service.ts";

export interface GrpcEngineOptions {
  readonly kind: "sglang" | "vllm";
  /** 0 takes a free port. */
  readonly port?: number;
  readonly model?: string;
  readonly tokenizer?: SimTokenizer;
  /** Directory whose tokenizer GetTokenizer sends. */
  readonly tokenizerPath?: string;
  /** What it says, where the answer is not to follow from the prompt. */
  readonly answer?: Answer;
  /** Time for each token of each answer, ms; 0 answers without waiting. */
  readonly msPerToken?: number;
  /** A whole pace, in place of `msPerToken`. */
  readonly timing?: Partial<EngineTiming>;
  /** Tokens that its prefix cache holds. */
  readonly kvTokens?: number;
  /** Calls that it remembers; 1,000 if not said. */
  readonly keptRecords?: number;
  readonly maxModelLen?: number;
  readonly dataParallelSize?: number;
  readonly defaultSamplingParamsJson?: string;
  readonly role?: "regular" | "prefill" | "decode";
  /** Of vLLM's prefill/decode; NixlConnector if not said. */
  readonly connector?: VllmConnector;
  /** Of vLLM's decode: it computes the prompt of a request without parameters itself, as vLLM does; otherwise it refuses the request. */
  readonly prefillsAlone?: boolean;
  /** Where decode comes for the KV cache of a prefill: SGLang's bootstrap port, vLLM's side channel. 0 takes a free one. */
  readonly kvPort?: number;
  /** What goes wrong with a call, if anything. */
  readonly fault?: (record: EngineRecord) => EngineFault | undefined;
}

export interface SimulatedGrpcEngine extends AsyncDisposable {
  /** `grpc://host:port`. */
  readonly url: string;
  readonly port: number;
  readonly kvPort: number;
  /** vLLM's `kv_engine_id`; empty without a connector. */
  readonly kvEngineId: string;
  /** Calls that carry a request id, in order of arrival, the last `keptRecords` of them. */
  readonly records: readonly EngineRecord[];
  /** What was against the prefill/decode protocol. */
  readonly violations: readonly string[];
  readonly connections: number;
  /** Generations under way. */
  readonly running: number;
  setHealthy(isHealthy: boolean): void;
  /** Takes no new calls and says so; what runs ends. */
  drain(): void;
  /** Gone at once, without a word; its port refuses connections from then on. */
  die(): void;
}

const AT_ONCE_TOKENS_PER_SEC = 1e9;

/** Starts an engine on loopback that speaks the gRPC service of SGLang or vLLM. */
export async function startGrpcEngine(options: GrpcEngineOptions): Promise<SimulatedGrpcEngine> {
  const { kind, role = "regular", kvPort = 0, dataParallelSize = 1 } = options;
  let die = (): void => undefined;
  const core = new EngineCore({
    tokenizer: options.tokenizer ?? BYTE_TOKENIZER,
    answer: options.answer,
    timing: options.timing ?? timingOf(options.msPerToken ?? 0),
    kvTokens: options.kvTokens ?? 524_288,
    keptRecords: options.keptRecords ?? 1000,
    fault: options.fault,
    die: () => die(),
  });
  const identity = identityOf(options);
  const sglangPd = new SglangPd({ role: kind === "sglang" ? role : "regular", bootstrapPort: kvPort }, core);
  const vllmPd = new VllmPd(
    {
      role: kind === "vllm" ? role : "regular",
      connector: options.connector,
      prefillsAlone: options.prefillsAlone ?? false,
      sidePort: kvPort,
      dataParallelSize,
    },
    core,
  );
  const handlers = kind === "sglang" ? sglangHandlers(core, identity, sglangPd) : vllmHandlers(core, identity, vllmPd);
  const service = kind === "sglang" ? "sglang.grpc.scheduler.SglangScheduler" : "vllm.grpc.engine.VllmEngine";
  const server = await startRpcServer(options.port ?? 0, new Map([...handlers, ...healthHandlers(core, service)]));
  die = (): void => {
    server.die();
    sglangPd.stop();
    vllmPd.stop();
    core.scheduler?.stop();
  };
  return {
    url: `grpc://127.0.0.1:${server.port}`,
    port: server.port,
    kvPort: sglangPd.bootstrapPort + vllmPd.sidePort,
    kvEngineId: vllmPd.engineId,
    records: core.records,
    violations: core.violations,
    get connections() {
      return server.connections;
    },
    get running() {
      return core.running;
    },
    setHealthy(isHealthy) {
      core.isHealthy = isHealthy;
    },
    drain: () => server.drain(),
    die,
    [Symbol.asyncDispose]: async () => die(),
  };
}

function timingOf(msPerToken: number): Partial<EngineTiming> | undefined {
  if (msPerToken === 0) return undefined;
  return { prefillTokensPerSec: AT_ONCE_TOKENS_PER_SEC, decodeMs: msPerToken, decodeMsPerRunning: 0 };
}

function identityOf(options: GrpcEngineOptions): EngineIdentity {
  const model = options.model ?? "sim-1";
  return {
    model,
    modelPath: options.tokenizerPath ?? model,
    modelType: "llama",
    architecture: "LlamaForCausalLM",
    tokenizerPath: options.tokenizerPath,
    maxModelLen: options.maxModelLen ?? 131_072,
    vocabSize: 131_072,
    dataParallelSize: options.dataParallelSize ?? 1,
    defaultSamplingParamsJson: options.defaultSamplingParamsJson ?? "",
  };
}
