import { isJsonObject } from "./json/json.ts";

/**
 * Whether a `finish_reason` says that the answer is over. Where the API has null, some engines write "" or the word "null" into
 * every event. SGLang's `/generate` writes an object whose `type` is the reason.
 */
export function isFinishReason(value: unknown): boolean {
  if (isJsonObject(value)) return isFinishReason(value["type"]);
  return typeof value === "string" && value !== "" && value !== "null";
}
