import type { Worker } from "../worker/worker.ts";
import { type ChatForm, OWN_FORM } from "../protocol/chat-form.ts";
import { GatewayError } from "../errors/errors.ts";
import type { EngineCodec } from "./codec.ts";
import type { Engine } from "./engine.ts";
import { openai } from "./openai/engine.ts";
import { sglang } from "./sglang/engine.ts";
import { trtllm } from "./trtllm/engine.ts";
import { vllm } from "./vllm/engine.ts";

/** The only list of engines. The probers compare a worker that does not name its engine with each, in this order. */
export const ENGINES: readonly Engine[] = [sglang, vllm, trtllm, openai];

const BY_NAME: ReadonlyMap<string, Engine> = new Map(
  ENGINES.flatMap((engine) => [engine.name, ...engine.probe.owners].map((name) => [name, engine] as const)),
);

/** The engine with this name or `owned_by` value; `openai` for an unknown name and for no name. */
export function engineNamed(name: string | undefined): Engine {
  return (name === undefined ? undefined : BY_NAME.get(name)) ?? openai;
}

/** The engine that the prober found for a worker; `openai` until the worker has answered. */
export function engineOf({ info }: Pick<Worker, "info">): Engine {
  return engineNamed(info.engine);
}

/** How a worker's own server makes prompts of conversations; the gateway's form where that is not known. */
export function chatFormOf({ info }: Pick<Worker, "info">): ChatForm {
  return engineOf({ info }).chatForm?.(info.engineVersion) ?? OWN_FORM;
}

/** The codec for a worker's gRPC messages. Throws not_implemented if its engine has no gRPC service. */
export function codecOf(worker: Pick<Worker, "info">): EngineCodec {
  const { codec } = engineOf(worker);
  if (codec) return codec;
  throw new GatewayError("not_implemented", "the worker's engine cannot be spoken to over gRPC");
}
