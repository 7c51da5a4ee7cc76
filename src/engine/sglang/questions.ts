import type * as Messages from "../../transport/grpc/generated/engine/sglang.ts";
import { lazy } from "../../util/lazy.ts";
import type { EngineQuestions } from "../engine.ts";
import { JSON_LOADS } from "../loads-pages.ts";
import { loadsOf } from "../scheduler-loads.ts";
import { SGLANG } from "./methods.ts";

const messages = lazy((): typeof Messages => require("../../transport/grpc/generated/engine/sglang.ts"));

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
      const request = messages().GetLoadsRequest.encode({ dpRank: undefined, include: [] }).finish();
      return loadsOf(messages().GetLoadsResponse.decode(await ask(SGLANG.getLoads, request)));
    },
  },
};
