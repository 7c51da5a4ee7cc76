import type { HeaderReader } from "../util/header-reader.ts";
import { isJsonObject, type JsonObject } from "./json/json.ts";
import type { JsonBody } from "./json/json-body.ts";

/**
 * The session or user that a request belongs to: from the first of these headers that has a value, or else from the body; undefined where
 * neither names one.
 */
export function readRoutingKey(
  headers: HeaderReader,
  body: JsonBody,
  sessionHeaders: readonly string[],
): string | undefined {
  for (const name of sessionHeaders) {
    const key = asRoutingKey(headers.get(name));
    if (key !== undefined) return key;
  }
  for (const [object, names] of BODY_FIELDS) {
    const key = keyIn(body, object, names);
    if (key !== undefined) return key;
  }
  return undefined;
}

/** The key of this text; undefined where it is empty. A long one becomes its beginning and a hash of all, 256 characters at most. */
export function asRoutingKey(text: string | null | undefined): string | undefined {
  if (!text) return undefined;
  if (text.length <= MAX_KEY_CHARS) return text;
  const hash = Bun.hash.wyhash(text).toString(16).padStart(HASH_CHARS, "0");
  return text.slice(0, MAX_KEY_CHARS - HASH_CHARS) + hash;
}

/** Members of the body in their order, sessions before users: names within an object of the body, or of the body itself. */
const BODY_FIELDS: readonly (readonly [object: string | undefined, names: readonly string[]])[] = [
  ["session_params", ["session_id"]],
  [undefined, ["session_id", "prompt_cache_key"]],
  // LiteLLM, Langfuse; Anthropic, whose clients put a session into `user_id`.
  ["metadata", ["session_id", "user_id"]],
  [undefined, ["user", "user_id", "safety_identifier"]],
];
const MAX_KEY_CHARS = 256;
const HASH_CHARS = 16;

function keyIn(body: JsonBody, object: string | undefined, names: readonly string[]): string | undefined {
  let fields: JsonObject | undefined;
  if (object !== undefined) {
    const value = body.value(object);
    if (!isJsonObject(value)) return undefined;
    fields = value;
  }
  for (const name of names) {
    const value = fields ? fields[name] : body.value(name);
    const key = typeof value === "number" ? String(value) : typeof value === "string" ? asRoutingKey(value) : undefined;
    if (key !== undefined) return key;
  }
  return undefined;
}
