import { type JsonFields, MAX_INT32 } from "../json/json-fields.ts";
import type { GenerationRequest, Sampling } from "../generation.ts";

/** Seeds in engines' messages are 32-bit numbers. Clients send longer ones, which are reduced. */
const SEEDS = 2 ** 31;
const MAX_TOKENS = 100_000_000;
/** Largest penalty. Engines set no bound, and larger values have no further effect. */
const MAX_PENALTY = 1e6;
/** Most entries of lists that an engine walks for each token. */
const MAX_STOPS = 4096;
/** Most characters of all stop strings of a request, because what looks for them holds a state for each. */
const MAX_STOP_CHARS = 65_536;
/** Most tokens with a bias: beyond what clients ban of a vocabulary. */
const MAX_BIASES = 16_384;

/** Reads members for sampling. vLLM and SGLang use the same names, at any place. */
export function readSampling(fields: JsonFields, maxTemperature = 2): Sampling {
  const topK = fields.integer("top_k", { least: -1, most: MAX_INT32 });
  return {
    temperature: fields.number("temperature", { least: 0, most: maxTemperature }),
    topP: fields.number("top_p", { above: 0, most: 1 }),
    topK: topK === 0 ? -1 : topK,
    minP: fields.number("min_p", { least: 0, most: 1 }),
    frequencyPenalty: fields.number("frequency_penalty", { least: -2, most: 2 }),
    presencePenalty: fields.number("presence_penalty", { least: -2, most: 2 }),
    repetitionPenalty: fields.number("repetition_penalty", { above: 0, most: MAX_PENALTY }),
    seed: readSeed(fields, "seed") ?? readSeed(fields, "sampling_seed"),
    logitBias: readLogitBias(fields),
  };
}

function readSeed(fields: JsonFields, name: string): number | undefined {
  const seed = fields.integer(name, {});
  return seed === undefined ? undefined : seed % SEEDS;
}

function readLogitBias(fields: JsonFields): ReadonlyMap<number, number> | undefined {
  const biases = fields.object("logit_bias");
  if (!biases) return undefined;
  const ids = Object.keys(biases.json);
  if (ids.length > MAX_BIASES) throw fields.error("logit_bias", `must have at most ${MAX_BIASES} entries`);
  const byToken = new Map<number, number>();
  for (const id of ids) {
    if (!/^\d{1,9}$/.test(id)) throw biases.error(id, "must be the bias of a token, named by its id");
    const bias = biases.number(id, { least: -100, most: 100 });
    if (bias !== undefined) byToken.set(Number(id), bias);
  }
  return byToken;
}

type Ending = Pick<
  GenerationRequest,
  "minTokens" | "stop" | "stopTokenIds" | "includeStop" | "ignoreEos" | "skipSpecialTokens"
>;

/** Reads members for the end of an answer: stop strings, and whether they are shown. */
export function readEnding(fields: JsonFields): Ending {
  return {
    minTokens: readTokenCount(fields, "min_tokens") ?? readTokenCount(fields, "min_new_tokens"),
    stop: readStop(fields, "stop"),
    stopTokenIds: fields.ids("stop_token_ids") ?? [],
    includeStop: fields.boolean("include_stop_str_in_output") ?? fields.boolean("no_stop_trim") ?? false,
    ignoreEos: fields.boolean("ignore_eos") ?? false,
    skipSpecialTokens: fields.boolean("skip_special_tokens") ?? true,
  };
}

/** Reads one string or a list of strings. Empty strings are refused: they would stop every answer at once. */
export function readStop(fields: JsonFields, name: string): readonly string[] {
  const value = fields.value(name);
  const stop = typeof value === "string" ? [value] : (fields.strings(name) ?? []);
  if (stop.length > MAX_STOPS) throw fields.error(name, `must have at most ${MAX_STOPS} entries`);
  const chars = stop.reduce((sum, string) => sum + string.length, 0);
  if (chars > MAX_STOP_CHARS) throw fields.error(name, `must have at most ${MAX_STOP_CHARS} characters in all`);
  if (stop.includes("")) throw fields.error(name, "must not have an empty string");
  return stop;
}

export function readTokenCount(fields: JsonFields, name: string, least = 0): number | undefined {
  return fields.integer(name, { least, most: MAX_TOKENS });
}

/** Reads the number of answers to each prompt. */
export function readAnswerCount(fields: JsonFields): number {
  return fields.integer("n", { least: 1, most: 1024 }) ?? 1;
}

/** Reads priority and LoRA adapter. Clients name the adapter in either of two members. */
export function readPlacement(fields: JsonFields): Pick<GenerationRequest, "priority" | "loraId"> {
  return {
    priority: fields.integer("priority", {}),
    loraId: fields.string("lora_id") ?? fields.string("lora_path"),
  };
}

/** Longest `rid` of a client, UTF-16 units, because each event repeats it. */
const MAX_RID_CHARS = 256;

/** Reads SGLang's `rid`, which becomes the answer's id; the first of a list. */
export function readRid(fields: JsonFields): string | undefined {
  const value = fields.value("rid");
  const rid = Array.isArray(value) ? fields.strings("rid")?.[0] : fields.string("rid");
  if (rid !== undefined && rid.length > MAX_RID_CHARS) {
    throw fields.error("rid", `must have at most ${MAX_RID_CHARS} characters`);
  }
  return rid === "" ? undefined : rid;
}

/** Throws not_implemented for members that change the answer and that token engines cannot take. */
export function refuseMembers(fields: JsonFields, names: readonly string[]): void {
  for (const name of names) {
    const value = fields.value(name);
    if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) continue;
    throw fields.notBuilt(name, `${fields.at(name)} is not supported with workers that are reached over gRPC`);
  }
}
