import { GatewayError } from "../errors/errors.ts";
import type { RequestRecord } from "../observability/request-record.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import type { JsonBody } from "../protocol/json/json-body.ts";
import { checkMembers } from "../protocol/member-bounds.ts";
import { BodyFeatures } from "../router/features/body-features.ts";
import type { InferenceRequest } from "../router/router.ts";

export interface ReadRequest {
  readonly endpoint: Endpoint;
  readonly request: Pick<InferenceRequest, "headers" | "signal">;
  readonly body: JsonBody;
  readonly record: RequestRecord;
  /** Whether a request must name a model, because the gateway has several. */
  readonly isModelRequired: boolean;
  /** Names of the headers that may have the routing key. */
  readonly sessionHeaders: readonly string[];
}

/**
 * Reads from a body what routing needs: the model, whether the answer is a stream, and features for the policy. Checks the bounds of
 * the endpoint's members. Throws invalid_request, missing_model.
 */
export function readRequest(read: ReadRequest): InferenceRequest {
  const { endpoint, request, body, record, isModelRequired, sessionHeaders } = read;
  const { headers, signal } = request;
  const model = readModel(body, isModelRequired);
  const isStream = readStream(body) && endpoint.canStream;
  record.isStream = isStream;
  checkMembers(body, endpoint.bounds);
  const features = new BodyFeatures({ model: model ?? "", isStream, body, form: endpoint, headers, sessionHeaders });
  return { endpoint, model, isStream, body, headers, features, record, signal };
}

function readModel(body: JsonBody, isRequired: boolean): string | undefined {
  const model = body.value("model") ?? body.raw("model");
  // Engines treat an empty name as none, and clients without a model send it.
  if (typeof model === "string" && model !== "") return model;
  if (model !== undefined && model !== "" && body.value("model") !== null) {
    throw new GatewayError("invalid_request", "model must be a string of 64 KiB at most", { param: "model" });
  }
  if (isRequired) throw new GatewayError("missing_model", "the request must name a model", { param: "model" });
  return undefined;
}

function readStream(body: JsonBody): boolean {
  const stream = body.value("stream");
  if (stream === undefined || stream === null) return false;
  if (typeof stream === "boolean") return stream;
  throw new GatewayError("invalid_request", "stream must be true or false", { param: "stream" });
}
