import { GatewayError } from "../errors/errors.ts";
import type { RequestRecord } from "../observability/request-record.ts";
import type { Endpoint } from "../protocol/endpoints.ts";
import type { JsonBody } from "../protocol/json/json-body.ts";
import { promptOf } from "../protocol/prompt.ts";
import { readRoutingKey } from "../protocol/routing-key.ts";
import type { InferenceRequest, RequestFeatures } from "../router/router.ts";
import type { ClientRequest } from "../transport/downstream.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import { checkBounds } from "./request-bounds.ts";

export interface ReadRequest {
  readonly endpoint: Endpoint;
  readonly request: ClientRequest;
  readonly body: JsonBody;
  readonly record: RequestRecord;
  /** One gateway for many models: a request must say which. */
  readonly isModelRequired: boolean;
}

/** What routing needs to know of a request. Throws invalid_request, missing_model. */
export function understand({ endpoint, request, body, record, isModelRequired }: ReadRequest): InferenceRequest {
  const model = readModel(body, isModelRequired);
  record.isStream = readStream(endpoint, body);
  checkBounds(body);
  return {
    endpoint,
    model,
    isStream: record.isStream,
    body,
    headers: request.headers,
    features: new BodyFeatures(model ?? "", endpoint, body, request.headers),
    record,
    signal: request.signal,
  };
}

function readModel(body: JsonBody, isRequired: boolean): string | undefined {
  const model = body.value("model") ?? body.raw("model");
  // An empty name is none: so engines take it, and clients that have nothing to say send it.
  if (typeof model === "string" && model !== "") return model;
  if (model !== undefined && model !== "" && body.value("model") !== null) {
    throw new GatewayError("invalid_request", "model must be a string", { param: "model" });
  }
  if (isRequired) throw new GatewayError("missing_model", "the request must name a model", { param: "model" });
  return undefined;
}

function readStream(endpoint: Endpoint, body: JsonBody): boolean {
  const stream = body.value("stream");
  if (stream === undefined || stream === null) return false;
  if (typeof stream !== "boolean") {
    throw new GatewayError("invalid_request", "stream must be true or false", { param: "stream" });
  }
  return stream && endpoint.canStream;
}

/** Bytes of a request that make about one token, for a first estimate. */
const BYTES_PER_TOKEN = 4;

class BodyFeatures implements RequestFeatures {
  readonly model: string;
  readonly promptTokens: number;
  readonly #endpoint: Endpoint;
  readonly #body: JsonBody;
  readonly #headers: HeaderReader;
  #promptBytes: Uint8Array | undefined;

  constructor(model: string, endpoint: Endpoint, body: JsonBody, headers: HeaderReader) {
    this.model = model;
    this.promptTokens = Math.ceil(body.bytes.length / BYTES_PER_TOKEN);
    this.#endpoint = endpoint;
    this.#body = body;
    this.#headers = headers;
  }

  promptBytes(): Uint8Array {
    this.#promptBytes ??= promptOf(this.#body, this.#endpoint.promptMembers);
    return this.#promptBytes;
  }

  routingKey(): string | undefined {
    return readRoutingKey(this.#headers, this.#body);
  }
}
