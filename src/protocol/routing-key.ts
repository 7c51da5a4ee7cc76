import { isJsonObject, stringField } from "./json/json.ts";
import type { JsonBody } from "./json/json-body.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import { SESSION_HEADERS } from "../util/session-headers.ts";

/** The session or user that a request belongs to, from a header or else from the body; undefined where neither names one. Cut to 256 characters. */
export function readRoutingKey(headers: HeaderReader, body: JsonBody): string | undefined {
  for (const name of SESSION_HEADERS) {
    const key = asRoutingKey(headers.get(name));
    if (key !== undefined) return key;
  }
  const session = body.value("session_params");
  const key =
    (isJsonObject(session) ? stringField(session, "session_id") : undefined) ??
    BODY_FIELDS.map((name) => body.value(name)).find((value) => typeof value === "string");
  return typeof key === "string" ? asRoutingKey(key) : undefined;
}

/** The key of this text; undefined where it is empty. */
export function asRoutingKey(text: string | null | undefined): string | undefined {
  return text ? text.slice(0, MAX_KEY_CHARS) : undefined;
}

const BODY_FIELDS = ["session_id", "prompt_cache_key", "user", "user_id"];
const MAX_KEY_CHARS = 256;
