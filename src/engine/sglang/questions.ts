import { GetLoadsRequest, GetLoadsResponse } from "../../transport/grpc/generated/engine/sglang.ts";
import type { EngineQuestions } from "../engine.ts";
import { JSON_LOADS } from "../loads-pages.ts";
import { loadsOf } from "../scheduler-loads.ts";
import { SGLANG } from "./methods.ts";

/** SGLang has a page and a method for each question. */
export const questions: EngineQuestions = {
  http: {
    generates: ["/health_generate", "/health"],
    modelInfo: ["/get_model_info", "/model_info"],
    serverInfo: ["/get_server_info", "/server_info"],
    flushCache: ["/flush_cache"],
    loads: JSON_LOADS,
    profile: { start: "/start_profile", stop: "/stop_profile" },
  },
  grpc: {
    getTokenizer: SGLANG.getTokenizer,
    flushCache: SGLANG.flushCache,
    profile: { start: SGLANG.startProfile, stop: SGLANG.stopProfile },
    async loads(ask) {
      const request = GetLoadsRequest.encode({ dpRank: undefined, include: [] }).finish();
      return loadsOf(GetLoadsResponse.decode(await ask(SGLANG.getLoads, request)));
    },
  },
};
