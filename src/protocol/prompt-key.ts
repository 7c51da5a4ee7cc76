import { BACKSLASH } from "../util/ascii.ts";
import type { JsonBody } from "./json/json-body.ts";

/** Members by which engines keep equal prompts apart in their caches: the salt of a tenant, SGLang's key, and its LoRA adapter. */
const CACHE_MEMBERS: ReadonlySet<string> = new Set(["cache_salt", "extra_key", "lora_path"]);

/** Members that decide with the messages what the template makes of them, and media that are not among the prompt's members. */
const TEMPLATE_MEMBERS: ReadonlySet<string> = new Set([
  ...[
    "chat_template",
    "chat_template_kwargs",
    "reasoning_effort",
    "reasoning",
    "thinking",
    "output_config",
    "documents",
  ],
  ...[
    "mm_processor_kwargs",
    "media_io_kwargs",
    "image_data",
    "video_data",
    "audio_data",
    "input_embeds",
    "prompt_embeds",
  ],
]);

const NULL_BYTES = 4;

/**
 * A number that differs, but for a collision of 32 bits, between requests whose prompts never share an engine's cache, even if their
 * bytes are equal. 0 for a request without any such member.
 */
export interface PromptKeys {
  /** For the prompt as the client wrote it. */
  readonly ofText: number;
  /** For the tokens that a template has made of it. */
  readonly ofTokens: number;
}

const NO_KEYS: PromptKeys = { ofText: 0, ofTokens: 0 };

/** `model`: as the client asked for it; behind a colon it names a LoRA adapter (SGLang). The order of the members does not matter. */
export function promptKeys(body: JsonBody, model: string): PromptKeys {
  const colon = model.lastIndexOf(":");
  const adapter = colon < 0 ? 0 : Bun.hash.xxHash32(model.slice(colon));
  let ofText = adapter;
  let ofTokens = adapter;
  for (const { name, start, end } of body.members) {
    const isOfCache = CACHE_MEMBERS.has(name);
    if (!isOfCache && !TEMPLATE_MEMBERS.has(name)) continue;
    const value = body.bytes.subarray(start, end);
    if (value.length === NULL_BYTES && value.toString() === "null") continue;
    // Clients may write characters as escapes; an engine's events tell the salt as it is.
    const isEscaped = isOfCache && value.includes(BACKSLASH);
    const key = Bun.hash.xxHash32(isEscaped ? JSON.stringify(body.value(name)) : value, Bun.hash.xxHash32(name));
    ofText ^= key;
    if (isOfCache) ofTokens ^= key;
  }
  return ofText === 0 && ofTokens === 0 ? NO_KEYS : { ofText, ofTokens };
}

/** The part of `ofTokens` that a salt makes, for one that is known without a body. */
export function keyOfSalt(salt: string): number {
  return Bun.hash.xxHash32(JSON.stringify(salt), Bun.hash.xxHash32("cache_salt"));
}
