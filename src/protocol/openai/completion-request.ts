import { JsonFields } from "../json/json-fields.ts";
import type { ApiRequest, GenerationRequest } from "../generation.ts";
import type { JsonBody } from "../json/json-body.ts";
import { CompletionWriter } from "./completion-writer.ts";
import { readConstraint } from "./constraint-fields.ts";
import { readPrompts } from "./prompt-fields.ts";
import {
  readAnswerCount,
  readEnding,
  readPlacement,
  readRid,
  readSampling,
  readTokenCount,
  refuseMembers,
} from "./sampling-fields.ts";
import { readPromptLogprobs, readStreamOptions } from "./stream-options.ts";

const REFUSED = [
  "allowed_token_ids",
  "bad_words",
  "custom_logit_processor",
  "logits_processors",
  "prompt_embeds",
  "return_hidden_states",
  "return_token_ids",
  "return_tokens_as_token_ids",
  "session_params",
  "suffix",
  "truncate_prompt_tokens",
  "use_beam_search",
];

/** The default of OpenAI's API. */
const DEFAULT_MAX_TOKENS = 16;

/** Reads a body of `/v1/completions`. Throws invalid_request, and not_implemented for what engines that speak tokens do not take. */
export function readCompletion(body: JsonBody): ApiRequest {
  const fields = JsonFields.of(body);
  refuseMembers(fields, REFUSED);
  const stream = readStreamOptions(fields);
  const n = readAnswerCount(fields);
  if ((fields.integer("best_of", { least: 1 }) ?? n) !== n) {
    throw fields.notBuilt("best_of", "best_of other than n is not supported with workers that are reached over gRPC");
  }
  const echo = fields.boolean("echo") ?? false;
  const maxTokens = readTokenCount(fields, "max_tokens", echo ? 0 : 1) ?? DEFAULT_MAX_TOKENS;
  const top = fields.integer("logprobs", { least: 0, most: 20 });
  const logprobs = top === undefined ? undefined : { top };
  const generation: GenerationRequest = {
    prompts: readPrompts(fields, "prompt", fields.boolean("add_special_tokens") ?? true),
    n,
    sampling: readSampling(fields),
    // An engine generates at least one token. Where the client asks for the prompt alone, the writer leaves the token out.
    maxTokens: Math.max(1, maxTokens),
    ...readEnding(fields),
    logprobs,
    promptLogprobs: readPromptLogprobs(fields, stream) ?? (echo && logprobs ? { ...logprobs, from: 0 } : undefined),
    echo,
    constraint: readConstraint(fields),
    toolChoice: { kind: "none" },
    parallelToolCalls: true,
    separateReasoning: false,
    ...readPlacement(fields),
  };
  const options = {
    ...stream,
    answersPerPrompt: n,
    id: readRid(fields),
    isEcho: echo,
    isPromptOnly: maxTokens === 0,
    hasLogprobs: logprobs !== undefined,
    hasPromptLogprobs: fields.has("prompt_logprobs"),
  };
  return { generation, isStream: stream.isStream, createWriter: (head) => new CompletionWriter(head, options) };
}
