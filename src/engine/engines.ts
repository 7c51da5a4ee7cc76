import type { Worker } from "../worker/worker.ts";
import { GatewayError } from "../errors/errors.ts";
import type { EngineCodec } from "./codec.ts";
import type { Engine } from "./engine.ts";
import { openai } from "./openai/engine.ts";
import { sglang } from "./sglang/engine.ts";
import { trtllm } from "./trtllm/engine.ts";
import { vllm } from "./vllm/engine.ts";

/** The engines that the gateway knows: the only list of them. A worker that does not name its engine is compared with each, in this order. */
export const ENGINES: readonly Engine[] = [sglang, vllm, trtllm, openai];

const BY_NAME: ReadonlyMap<string, Engine> = new Map(
  ENGINES.flatMap((engine) => [engine.name, ...engine.probe.owners].map((name) => [name, engine] as const)),
);

/** The engine of this name, or that calls itself so over HTTP; `openai` for a name that is none of theirs, and for no name. */
export function engineNamed(name: string | undefined): Engine {
  return (name === undefined ? undefined : BY_NAME.get(name)) ?? openai;
}

/** The engine that a worker's probe found out; `openai` until then. */
export function engineOf({ info }: Pick<Worker, "info">): Engine {
  return engineNamed(info.engine);
}

/** How a worker's engine is spoken to over gRPC. Throws not_implemented where it has no gRPC service that is known here. */
export function codecOf(worker: Pick<Worker, "info">): EngineCodec {
  const { codec } = engineOf(worker);
  if (codec) return codec;
  throw new GatewayError("not_implemented", "the worker's engine cannot be spoken to over gRPC");
}
