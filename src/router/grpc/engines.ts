import { GatewayError } from "../../errors/errors.ts";
import type { Worker } from "../../worker/worker.ts";
import type { EngineProtocol } from "./engine-protocol.ts";
import { trtllmEngine } from "./trtllm-engine.ts";
import { sglangEngine } from "./sglang-engine.ts";
import { vllmEngine } from "./vllm-engine.ts";

/** The services that are spoken, by what workers say they are. */
const ENGINES: ReadonlyMap<string, EngineProtocol> = new Map(
  [sglangEngine, vllmEngine, trtllmEngine].map((engine) => [engine.name, engine] as const),
);

/** Throws not_implemented for a worker of another service. */
export function engineOf({ info }: Worker): EngineProtocol {
  const engine = ENGINES.get(info.engine ?? "");
  if (engine) return engine;
  throw new GatewayError("not_implemented", "the worker's engine cannot be spoken to over gRPC");
}
