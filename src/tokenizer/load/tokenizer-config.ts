import { isRecord, type AnyRecord } from "../../util/objects.ts";
import { jsonOf, textOf, type TokenizerFiles } from "./tokenizer-files.ts";

/** Sampling defaults of a model's authors, under the names of the OpenAI API. */
export interface GenerationDefaults {
  readonly temperature?: number;
  readonly top_p?: number;
  readonly top_k?: number;
  readonly min_p?: number;
  readonly repetition_penalty?: number;
}

/** Contents of the small files next to tokenizer.json. */
export interface TokenizerConfig {
  /** `bos_token`, `eos_token` and other tokens that templates know by name. */
  readonly namedTokens: Readonly<Record<string, string>>;
  /** Empty where no file has them; then the id of `eos_token` is used. */
  readonly eosTokenIds: readonly number[];
  readonly maxTokens: number | undefined;
  readonly architectures: readonly string[];
  readonly modelType: string | undefined;
  readonly generationDefaults: GenerationDefaults;
  /** Sources of chat templates by name; "default" is at least for chats without tools. */
  readonly templates: ReadonlyMap<string, string>;
}

const NAMED = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] as const;
const SAMPLING = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty"] as const;
/** Larger values of `model_max_length` mean "unknown" (files have 10^30 for that). */
const LARGEST_LENGTH = 1e9;

/** Throws `invalid_request` where a file is not JSON. Fields of a wrong type count as missing. */
export function readTokenizerConfig(files: TokenizerFiles): TokenizerConfig {
  const tokenizer = jsonOf(files, "tokenizer_config.json");
  const model = jsonOf(files, "config.json");
  const generation = jsonOf(files, "generation_config.json");
  // Multimodal models have the facts of their text part in `text_config`.
  const text = isRecord(model["text_config"]) ? model["text_config"] : {};
  const lengths = [model["max_position_embeddings"], text["max_position_embeddings"], tokenizer["model_max_length"]];
  const eos = [generation["eos_token_id"], model["eos_token_id"], text["eos_token_id"]].map(readIds);
  const { model_type: modelType, architectures } = model;
  return {
    namedTokens: readNamedTokens(jsonOf(files, "special_tokens_map.json"), tokenizer),
    eosTokenIds: eos.find((ids) => ids.length > 0) ?? [],
    maxTokens: lengths.find(isLength),
    architectures: Array.isArray(architectures) ? architectures.filter((name) => typeof name === "string") : [],
    modelType: typeof modelType === "string" ? modelType : undefined,
    generationDefaults: readSampling(generation),
    templates: readTemplates(files, tokenizer),
  };
}

function isLength(value: unknown): value is number {
  return typeof value === "number" && value > 0 && value < LARGEST_LENGTH;
}

function readIds(value: unknown): readonly number[] {
  return (Array.isArray(value) ? value : [value]).filter((id) => Number.isSafeInteger(id));
}

/** Reads a token, which is written as its text or as an object with the text. */
function readToken(value: unknown): string | undefined {
  const content = isRecord(value) ? value["content"] : value;
  return typeof content === "string" ? content : undefined;
}

function readNamedTokens(...sources: readonly AnyRecord[]): Readonly<Record<string, string>> {
  const tokens: Record<string, string> = {};
  for (const source of sources) {
    const extra = isRecord(source["extra_special_tokens"]) ? source["extra_special_tokens"] : {};
    for (const [name, value] of [...NAMED.map((name) => [name, source[name]] as const), ...Object.entries(extra)]) {
      const token = readToken(value);
      if (token !== undefined) tokens[name] = token;
    }
  }
  return tokens;
}

function readSampling(generation: AnyRecord): GenerationDefaults {
  const defaults: { -readonly [Name in keyof GenerationDefaults]: GenerationDefaults[Name] } = {};
  for (const name of SAMPLING) {
    const value = generation[name];
    if (typeof value === "number") defaults[name] = value;
  }
  // `do_sample: false` means that the model takes the likeliest token, so its temperature has no meaning.
  if (generation["do_sample"] === false) defaults.temperature = 0;
  return defaults;
}

function readTemplates(files: TokenizerFiles, tokenizer: AnyRecord): ReadonlyMap<string, string> {
  const templates = new Map<string, string>();
  const add = (value: unknown): void => {
    if (typeof value === "string") templates.set("default", value);
    for (const entry of Array.isArray(value) ? value.filter(isRecord) : []) {
      const { name, template } = entry;
      if (typeof name === "string" && typeof template === "string") templates.set(name, template);
    }
  };
  add(tokenizer["chat_template"]);
  add(jsonOf(files, "chat_template.json")["chat_template"]);
  // A template in its own file overrides the templates in other files.
  add(textOf(files, "chat_template.jinja"));
  return templates;
}
