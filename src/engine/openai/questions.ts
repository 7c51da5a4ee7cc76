import type { EngineQuestions, PageQuestions } from "../engine.ts";
import { JSON_LOADS } from "../loads-pages.ts";

/** All pages that any engine has for the question. */
export const EVERY_PAGE: PageQuestions = {
  generates: ["/health_generate", "/health"],
  modelInfo: ["/get_model_info", "/model_info"],
  serverInfo: ["/get_server_info", "/server_info"],
  flushCache: ["/flush_cache", "/reset_prefix_cache"],
  loads: JSON_LOADS,
  profile: { start: "/start_profile", stop: "/stop_profile" },
};

/** The server may have any of the pages, so each is tried. */
export const questions: EngineQuestions = { http: EVERY_PAGE, grpc: undefined };
