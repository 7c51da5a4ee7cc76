import { type JsonObject, parseJsonObject } from "../../protocol/json/json.ts";
import type { ClientRequest } from "../../transport/downstream.ts";
import { readBody } from "../body.ts";

/** Time for a small JSON body to arrive, ms. */
const BODY_TIMEOUT_MS = 10_000;

/** Reads the body of a request that the gateway answers itself. Throws what `readBody` and `parseJsonObject` throw. */
export async function readJson(request: ClientRequest, maxBytes: number): Promise<JsonObject> {
  const bounds = { maxBytes, timeoutMs: BODY_TIMEOUT_MS, stallMs: BODY_TIMEOUT_MS };
  return parseJsonObject(await readBody(request, bounds));
}
