import type { JsonObject } from "../protocol/json/json.ts";

/** Longest id or version of a worker that is accepted, characters. */
const MAX_TEXT = 512;

/** A text of a worker's page; undefined where it is missing, empty, or too long for a name. */
export function saidText(page: JsonObject, member: string): string | undefined {
  const value = page[member];
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT ? value : undefined;
}

/** A whole number above zero of a worker's page. */
export function saidCount(page: JsonObject, member: string): number | undefined {
  return positive(page[member]);
}

/** The value, if it is a whole number above zero. */
export function positive(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** A text of a protobuf message; undefined for an empty one, which means unset. */
export function told(text: string): string | undefined {
  return text === "" ? undefined : text;
}
