import { type JsonFields, MAX_INT32 } from "../json/json-fields.ts";
import type { GenerationRequest, Sampling } from "../generation.ts";

/** Seeds are 32-bit numbers on the way to an engine; clients send longer ones. */
const SEEDS = 2 ** 31;
const MAX_TOKENS = 100_000_000;
/** Engines set no bound; beyond this it is all the same. */
const MAX_PENALTY = 1e6;
/** Lists that an engine walks for each token. */
const MAX_STOPS = 4096;

/** Members that say how tokens are chosen; vLLM's and SGLang's names are the same wherever they stand. */
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
  const byToken = new Map<number, number>();
  for (const id of Object.keys(biases.json)) {
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

/** Members that say where an answer ends and what is shown of its end. */
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

/** One string or a list of them; an empty one would stop everything. */
export function readStop(fields: JsonFields, name: string): readonly string[] {
  const value = fields.value(name);
  const stop = typeof value === "string" ? [value] : (fields.strings(name) ?? []);
  if (stop.length > MAX_STOPS) throw fields.error(name, `must have at most ${MAX_STOPS} entries`);
  if (stop.includes("")) throw fields.error(name, "must not have an empty string");
  return stop;
}

export function readTokenCount(fields: JsonFields, name: string, least = 0): number | undefined {
  return fields.integer(name, { least, most: MAX_TOKENS });
}

/** Number of answers to each prompt. */
export function readAnswerCount(fields: JsonFields): number {
  return fields.integer("n", { least: 1, most: 1024 }) ?? 1;
}

/** Engines know adapters by one name, which clients write in either of two members. */
export function readPlacement(fields: JsonFields): Pick<GenerationRequest, "priority" | "loraId"> {
  return {
    priority: fields.integer("priority", {}),
    loraId: fields.string("lora_id") ?? fields.string("lora_path"),
  };
}

/** Longest id that a client gives its request, UTF-16 units: it is repeated in each event. */
const MAX_RID_CHARS = 256;

/** SGLang's `rid`, which it gives back as the answer's id; of a list, the first. */
export function readRid(fields: JsonFields): string | undefined {
  const value = fields.value("rid");
  const rid = Array.isArray(value) ? fields.strings("rid")?.[0] : fields.string("rid");
  if (rid !== undefined && rid.length > MAX_RID_CHARS) {
    throw fields.error("rid", `must have at most ${MAX_RID_CHARS} characters`);
  }
  return rid === "" ? undefined : rid;
}

/** Refuses members that change the answer and that engines that speak tokens have no place for. */
export function refuseMembers(fields: JsonFields, names: readonly string[]): void {
  for (const name of names) {
    const value = fields.value(name);
    if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) continue;
    throw fields.notBuilt(name, `${fields.at(name)} is not supported with workers that are reached over gRPC`);
  }
}
