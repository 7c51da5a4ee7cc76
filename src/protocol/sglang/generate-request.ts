import { JsonFields, isIds, MAX_INT32 } from "../json/json-fields.ts";
import type { ApiRequest, GenerationRequest, Prompt } from "../generation.ts";
import type { JsonBody } from "../json/json-body.ts";
import { readConstraint } from "../openai/constraint-fields.ts";
import { readPrompts } from "../openai/prompt-fields.ts";
import {
  readAnswerCount,
  readEnding,
  readPlacement,
  readSampling,
  readTokenCount,
  refuseMembers,
} from "../openai/sampling-fields.ts";
import { GenerateWriter } from "./generate-writer.ts";

const REFUSED = [
  "audio_data",
  "custom_logit_processor",
  "image_data",
  "input_embeds",
  "return_entropy",
  "return_hidden_states",
  "session_params",
  "token_ids_logprob",
  "video_data",
];
const REFUSED_SAMPLING = ["custom_params", "stop_regex"];
/** SGLang's default for the most tokens of an answer. */
const DEFAULT_MAX_TOKENS = 128;
/** Largest temperature; SGLang sets no bound. */
const MAX_TEMPERATURE = 1e6;

/** Reads SGLang's `/generate`. Throws invalid_request, and not_implemented for members that its gRPC messages do not have. */
export function readGenerate(body: JsonBody): ApiRequest {
  const fields = JsonFields.of(body);
  refuseMembers(fields, REFUSED);
  const { prompts, isBatch } = readInput(fields);
  const params = readParams(fields);
  refuseMembers(params, REFUSED_SAMPLING);
  const isStream = fields.boolean("stream") ?? false;
  const n = readAnswerCount(params);
  const top = same(fields, "top_logprobs_num")?.integer("top_logprobs_num", { least: 0, most: 1000 }) ?? 0;
  const hasLogprobs = same(fields, "return_logprob")?.boolean("return_logprob") ?? false;
  const from = same(fields, "logprob_start_len")?.integer("logprob_start_len", { least: -1, most: MAX_INT32 }) ?? -1;
  const generation: GenerationRequest = {
    prompts,
    n,
    sampling: readSampling(params, MAX_TEMPERATURE),
    maxTokens: readTokenCount(params, "max_new_tokens", 1) ?? DEFAULT_MAX_TOKENS,
    ...readEnding(params),
    logprobs: hasLogprobs ? { top } : undefined,
    promptLogprobs: hasLogprobs && from >= 0 ? { top, from } : undefined,
    echo: false,
    constraint: readConstraint(params),
    toolChoice: { kind: "none" },
    parallelToolCalls: true,
    separateReasoning: false,
    ...readPlacement(fields),
  };
  const options = {
    isStream,
    isList: isBatch || n > 1,
    answersPerPrompt: n,
    hasLogprobs,
    hasTop: top > 0,
    hasLogprobText: fields.boolean("return_text_in_logprobs") ?? false,
    rids: readRids(fields, prompts.length),
  };
  return { generation, isStream, createWriter: (head) => new GenerateWriter(head, options) };
}

function readInput(fields: JsonFields): { prompts: readonly Prompt[]; isBatch: boolean } {
  const hasText = fields.has("text");
  if (hasText === fields.has("input_ids")) throw fields.error("text", "or input_ids must be there, and not both");
  const name = hasText ? "text" : "input_ids";
  const prompts = readPrompts(fields, name, true);
  const wrong = prompts.findIndex(({ kind }) => kind !== (hasText ? "text" : "ids"));
  if (wrong >= 0) throw fields.error(`${name}[${wrong}]`, hasText ? "must be a string" : "must be a list of token ids");
  const value = fields.value(name);
  return { prompts, isBatch: Array.isArray(value) && (hasText || !isIds(value)) };
}

function readParams(fields: JsonFields): JsonFields {
  const params = fields.value("sampling_params");
  if (!Array.isArray(params)) return fields.object("sampling_params") ?? new JsonFields({}, "sampling_params");
  throw fields.notBuilt("sampling_params", "sampling_params must be one object for all prompts");
}

/** Reads a member that a batch may give once, or as a list with equal entries for its prompts. */
function same(fields: JsonFields, name: string): JsonFields | undefined {
  const value = fields.value(name);
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) return fields;
  const [first, ...others]: unknown[] = value;
  if (others.some((other) => other !== first)) throw fields.notBuilt(name, `${name} must be the same for all prompts`);
  return new JsonFields({ [name]: first }, fields.path);
}

/** Reads the client's ids of its prompts. */
function readRids(fields: JsonFields, prompts: number): readonly string[] | undefined {
  const rid = fields.value("rid");
  if (typeof rid === "string")
    return prompts === 1 ? [rid] : Array.from({ length: prompts }, (_, index) => `${rid}_${index}`);
  const rids = fields.strings("rid");
  if (rids && rids.length !== prompts) throw fields.error("rid", "must have one entry for each prompt");
  return rids;
}
