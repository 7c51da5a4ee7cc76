import { isJsonObject, type JsonObject } from "../protocol/json/json.ts";
import type { LoadsPage } from "./engine.ts";

/** The pages of SGLang: its present one, and the one of older servers, which is a list with one entry for each data-parallel rank. */
export const JSON_LOADS: readonly LoadsPage[] = [
  { path: "/v1/loads", read: jsonLoads },
  { path: "/get_load", read: jsonLoads },
];

/** undefined for a page of another form, such as that of a server which answers every path with one. */
function jsonLoads(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return { loads: value };
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
