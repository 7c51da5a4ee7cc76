import { join } from "node:path";
import { type GrpcEngineOptions, type SimulatedGrpcEngine, startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { type RpcHandler, startRpcServer } from "../engines/grpc/rpc-server.ts";
import { tokenizerChunks } from "../engines/grpc/tokenizer-zip.ts";
import { GetModelInfoResponse, HealthCheckResponse } from "../../src/transport/grpc/generated/engine/vllm.ts";
import { VLLM } from "../../src/engine/vllm/methods.ts";
import { type TinyModel, writeTinyModel } from "../support/tiny-model.ts";

const TINY: TinyModel = await writeTinyModel();

/** A simulated engine that speaks the tiny model. */
export function startTinyEngine(options: Partial<GrpcEngineOptions> = {}): Promise<SimulatedGrpcEngine> {
  const { path, tokenizer } = TINY;
  return startGrpcEngine({ kind: "vllm", model: "tiny", tokenizer, tokenizerPath: path, ...options });
}

export interface EngineProcess extends AsyncDisposable {
  readonly url: string;
  signal(name: NodeJS.Signals): void;
}

/** A simulated engine that can be stopped and killed, 20 ms a token. */
export async function startEngineProcess(): Promise<EngineProcess> {
  const script = join(import.meta.dir, "grpc-engine-process.ts");
  const child = Bun.spawn([process.execPath, script], { stdout: "pipe", stderr: "inherit" });
  const { value } = await child.stdout.getReader().read();
  return {
    url: Buffer.from(value ?? [])
      .toString()
      .trim(),
    signal: (name) => child.kill(name),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

export interface OddWorker extends AsyncDisposable {
  readonly url: string;
  /** Generations that it was asked for. */
  readonly generations: number;
}

/** A worker that is an engine of vLLM but for what it generates. */
export async function startOddWorker(generate: RpcHandler): Promise<OddWorker> {
  let generations = 0;
  const once = (message: Uint8Array): RpcHandler =>
    async function* answer() {
      yield message;
    };
  const server = await startRpcServer(
    0,
    new Map<string, RpcHandler>([
      [VLLM.healthCheck, once(HealthCheckResponse.encode({ healthy: true, message: "OK" }).finish())],
      [VLLM.getModelInfo, once(GetModelInfoResponse.encode(GetModelInfoResponse.fromPartial({})).finish())],
      [VLLM.getServerInfo, once(new Uint8Array(0))],
      [VLLM.getTokenizer, () => tokenizerChunks(TINY.path)],
      [
        VLLM.generate,
        (request, call) => {
          generations += 1;
          return generate(request, call);
        },
      ],
    ]),
  );
  return {
    url: `grpc://127.0.0.1:${server.port}`,
    get generations() {
      return generations;
    },
    [Symbol.asyncDispose]: async () => server.die(),
  };
}
