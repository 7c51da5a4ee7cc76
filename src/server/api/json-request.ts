import { GatewayError } from "../../errors/errors.ts";
import { type JsonObject, parseJsonObject } from "../../protocol/json/json.ts";
import type { Call } from "../route.ts";

/** The body of a call as a JSON object. Throws invalid_request where there is none, and what `parseJsonObject` throws. */
export function readJson({ body }: Pick<Call, "body">): JsonObject {
  if (!body) throw new GatewayError("invalid_request", "the body is missing: this route takes a JSON object");
  return parseJsonObject(body);
}
