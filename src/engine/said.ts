import type { JsonObject } from "../protocol/json/json.ts";

/** Longest id or version of a worker that is believed, characters. */
const MAX_TEXT = 512;

/** A text that a worker says of itself; undefined where it is none, empty, or longer than any name. */
export function saidText(page: JsonObject, member: string): string | undefined {
  const value = page[member];
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT ? value : undefined;
}

/** A whole number above zero that a worker says of itself. */
export function saidCount(page: JsonObject, member: string): number | undefined {
  return positive(page[member]);
}

/** The value where it is a whole number above zero. */
export function positive(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** A text of a protobuf message, which says nothing by an empty one. */
export function told(text: string): string | undefined {
  return text === "" ? undefined : text;
}
