import { type JsonObject, parseJsonObject } from "../../protocol/json.ts";
import type { ClientRequest } from "../../transport/downstream.ts";
import { readBody } from "../body.ts";
import { ByteBudget } from "../byte-budget.ts";

/** For a few lines of JSON to arrive, ms. */
const BODY_TIMEOUT_MS = 10_000;

/** The body of a request that the gateway answers itself. Throws what `readBody` and `parseJsonObject` throw. */
export async function readJson(request: ClientRequest, maxBytes: number): Promise<JsonObject> {
  const budget = new ByteBudget(maxBytes);
  const bounds = { maxBytes, timeoutMs: BODY_TIMEOUT_MS, stallMs: BODY_TIMEOUT_MS, budget };
  return parseJsonObject(await readBody(request, bounds, { bytes: 0 }));
}
