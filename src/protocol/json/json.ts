import { GatewayError } from "../../errors/errors.ts";

/** A parsed JSON object whose members are unknown. */
export type JsonObject = { readonly [key: string]: unknown };

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Parses a request body at once. Throws invalid_json (not JSON, not UTF-8, empty), invalid_body (not an object) or
 * forbidden_key (`__proto__`).
 */
export function parseJsonObject(bytes: Uint8Array): JsonObject {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch (cause) {
    throw new GatewayError("invalid_json", "the body is not valid UTF-8", { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new GatewayError("invalid_json", "the body is not valid JSON", { cause });
  }
  if (!isJsonObject(value)) throw new GatewayError("invalid_body", "the body must be a JSON object");
  // A worker's JSON reader may act on this key, which the gateway only passes on.
  if (text.includes('"__proto__"') && PROTO_KEY.test(text)) {
    throw new GatewayError("forbidden_key", "the key __proto__ is not allowed");
  }
  return value;
}

/** Parses a client's or a worker's text; undefined where it is not a JSON object. */
export function jsonObjectOf(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    // The caller decides what a text that is not JSON means.
    return undefined;
  }
}

const PROTO_KEY = /"__proto__"\s*:/;

/** The value, if it is a string. */
export function stringField(object: JsonObject, key: string): string | undefined {
  const value = object[key];
  return typeof value === "string" ? value : undefined;
}

/** The value, if it is a finite number. */
export function numberField(object: JsonObject, key: string): number | undefined {
  const value = object[key];
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** The value, if it is an object. */
export function objectField(object: JsonObject, key: string): JsonObject | undefined {
  const value = object[key];
  return isJsonObject(value) ? value : undefined;
}
