import { GetLoadsRequest, GetLoadsResponse } from "../../transport/grpc/generated/engine/vllm.ts";
import type { EngineQuestions } from "../engine.ts";
import { loadsOf } from "../scheduler-loads.ts";
import { VLLM } from "./methods.ts";

/** vLLM has a method for each question, and pages for some. */
export const questions: EngineQuestions = {
  http: {
    generates: ["/health"],
    modelInfo: [],
    // These two exist in development mode only.
    serverInfo: ["/server_info"],
    flushCache: ["/reset_prefix_cache"],
    loads: [],
    profile: { start: "/start_profile", stop: "/stop_profile" },
  },
  grpc: {
    getTokenizer: VLLM.getTokenizer,
    flushCache: VLLM.flushCache,
    profile: { start: VLLM.startProfile, stop: VLLM.stopProfile },
    async loads(ask) {
      const request = GetLoadsRequest.encode({ dpRank: undefined, include: [] }).finish();
      return loadsOf(GetLoadsResponse.decode(await ask(VLLM.getLoads, request)));
    },
  },
};
