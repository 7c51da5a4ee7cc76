import { isJsonObject } from "./json/json.ts";

/**
 * Whether a `finish_reason` says that its answer is over. Some engines write "" or the word "null" into every event, where
 * the API has null. SGLang's `/generate` has an object with the reason as its `type`.
 */
export function isFinishReason(value: unknown): boolean {
  if (isJsonObject(value)) return isFinishReason(value["type"]);
  return typeof value === "string" && value !== "" && value !== "null";
}
