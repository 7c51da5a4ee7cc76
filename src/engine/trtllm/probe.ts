import type * as Messages from "../../transport/grpc/generated/engine/trtllm.ts";
import { lazy } from "../../util/lazy.ts";
import type { EngineProbe } from "../engine.ts";
import { askServerInfo } from "../sglang/probe.ts";
import { positive, told } from "../said.ts";
import { TRTLLM } from "./methods.ts";

const messages = lazy((): typeof Messages => require("../../transport/grpc/generated/engine/trtllm.ts"));

const NOTHING = new Uint8Array(0);

/** TensorRT-LLM names itself in its list of models, and has a gRPC service of its own. */
export const probe: EngineProbe = {
  owners: ["tensorrt_llm"],
  // It has no page that distinguishes it from other servers.
  isKnownBy: () => false,
  askPages: askServerInfo,
  grpc: {
    // The answer is a sentence. Only `unhealthy` or `error` in it means that the worker is not well.
    isHealthy: async (ask) =>
      !/unhealthy|error/i.test(messages().HealthCheckResponse.decode(await ask(TRTLLM.healthCheck, NOTHING)).status),
    async askFacts(ask) {
      const model = messages().GetModelInfoResponse.decode(await ask(TRTLLM.getModelInfo, NOTHING));
      return {
        model: told(model.modelId),
        version: undefined,
        maxModelLen: positive(model.maxSeqLen),
        kvCapacityTokens: undefined,
        startedAt: undefined,
        kv: undefined,
      };
    },
  },
};
