import { asGatewayError, clientClosed, GatewayError } from "../../errors/errors.ts";
import { type RecordSink, RequestRecord } from "../../observability/request-record.ts";
import type { Endpoint } from "../../protocol/endpoints.ts";
import { type JsonBody, readJsonBody } from "../../protocol/json-body.ts";
import { promptOf } from "../../protocol/prompt.ts";
import { readRoutingKey } from "../../protocol/routing-key.ts";
import type { InferenceRequest, RequestFeatures } from "../../router/router.ts";
import type { Admission } from "../admission.ts";
import type { Authenticate } from "../auth.ts";
import { type BodyBounds, readBody } from "../body.ts";
import { errorResponse } from "../error-response.ts";

export interface InferenceDeps {
  readonly authenticate: Authenticate;
  readonly admission: Admission;
  readonly bounds: BodyBounds;
  readonly recordSink: RecordSink;
  /** One gateway for many models: a request must say which. */
  readonly isModelRequired: boolean;
  readonly route: (request: InferenceRequest) => Promise<Response>;
  readonly isDraining: () => boolean;
  readonly onDefect: (error: GatewayError, requestId: string) => void;
}

/** The way of a request: authenticate, admit, read, parse once, route. Each step has its errors and its bound. */
export async function handleInference(
  deps: InferenceDeps,
  endpoint: Endpoint,
  request: Request,
  requestId: string,
): Promise<Response> {
  const record = new RequestRecord(requestId, endpoint.name, deps.recordSink);
  try {
    if (deps.isDraining())
      throw new GatewayError("server_shutting_down", "the gateway is shutting down", { retryAfterSecs: 1 });
    deps.authenticate(request.headers);
    const admitted = deps.admission.acquire(request.signal);
    const permit = admitted instanceof Promise ? await admitted : admitted;
    record.onSettled(() => permit.release());
    const read = readJsonBody(await readBody(request, deps.bounds));
    const body = read instanceof Promise ? await read : read;
    return await deps.route(understand(deps, endpoint, request, body, record));
  } catch (thrown) {
    const error = request.signal.aborted ? clientClosed(thrown) : asGatewayError(thrown);
    if (error.code === "internal_error") deps.onDefect(error, requestId);
    record.settle(error.status, error.code);
    return errorResponse(error, endpoint.dialect, requestId);
  }
}

/** What routing needs to know. Throws invalid_request, missing_model. */
function understand(
  deps: InferenceDeps,
  endpoint: Endpoint,
  request: Request,
  body: JsonBody,
  record: RequestRecord,
): InferenceRequest {
  const model = readModel(body, deps.isModelRequired);
  record.isStream = readStream(endpoint, body);
  const features = new BodyFeatures(model ?? "", endpoint, body, request.headers);
  return {
    endpoint,
    model,
    isStream: record.isStream,
    body,
    headers: request.headers,
    features,
    record,
    signal: request.signal,
  };
}

function readModel(body: JsonBody, isRequired: boolean): string | undefined {
  const model = body.value("model");
  if (typeof model === "string" && model !== "") return model;
  if (model !== undefined && model !== null) {
    throw new GatewayError("invalid_request", "model must be a non-empty string", { param: "model" });
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
  readonly #headers: Headers;
  #promptBytes: Uint8Array | undefined;

  constructor(model: string, endpoint: Endpoint, body: JsonBody, headers: Headers) {
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
