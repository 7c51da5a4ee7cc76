import type { EngineQuestions } from "../engine.ts";
import { EVERY_PAGE } from "../openai/questions.ts";
import { TRTLLM } from "./methods.ts";

/** TensorRT-LLM's gRPC service sends its tokenizer and answers no other question. */
export const questions: EngineQuestions = {
  // No HTTP server of it was available to us.
  http: EVERY_PAGE,
  grpc: { getTokenizer: TRTLLM.getTokenizer, flushCache: undefined, profile: undefined, loads: undefined },
};
