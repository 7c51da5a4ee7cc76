import { type JsonObject, objectField, stringField } from "./json.ts";

/** Headers that name what a client wants to be routed by, first found first. Request ids are not among them: they differ with each request. */
export const ROUTING_KEY_HEADERS = ["x-routing-key", "x-smg-routing-key", "x-session-id", "x-user-id"] as const;

/** The session or user that a request belongs to, or undefined. Header before body; a key is cut at 256 characters. */
export function readRoutingKey(headers: Headers, body: JsonObject): string | undefined {
  for (const name of ROUTING_KEY_HEADERS) {
    const value = headers.get(name);
    if (value) return value.slice(0, MAX_KEY_CHARS);
  }
  const session = stringField(objectField(body, "session_params") ?? {}, "session_id");
  const key =
    session ??
    stringField(body, "session_id") ??
    stringField(body, "prompt_cache_key") ??
    stringField(body, "user") ??
    stringField(body, "user_id");
  return key ? key.slice(0, MAX_KEY_CHARS) : undefined;
}

const MAX_KEY_CHARS = 256;
