import { asGatewayError, GatewayError } from "../errors/errors.ts";
import { failureOfAnswer } from "../protocol/engine-failure.ts";
import { jsonObjectOf } from "../protocol/json/json.ts";
import { readUsage, type Usage } from "../protocol/usage.ts";
import type { UpstreamResponse } from "../transport/upstream.ts";
import type { Attempt } from "./attempt.ts";
import { RECEIPT_HEADER } from "./receipt.ts";
import type { WorkerResponse } from "./response-stage.ts";
import type { InferenceRequest } from "./router.ts";
import type { StreamContinuation } from "./stream-continuation.ts";
import { StreamRelay, type StreamRelayDeps } from "./stream-relay.ts";
import type { StreamSource } from "./stream-source.ts";
import { engineError, lostBeforeAnswer, workerError } from "./worker-error.ts";
import type { Reply } from "../transport/downstream.ts";
import { CLOSE_BRACE, OPEN_BRACE, OPEN_BRACKET } from "../util/ascii.ts";

/** Largest answer that is not streamed. 2,048 embeddings of 4,096 numbers as text are 170 MB. */
const MAX_ANSWER_BYTES = 512 * 1024 * 1024;
/** Largest body of an error, bytes; errors are a few lines. */
const MAX_ERROR_BYTES = 256 * 1024;
/** Largest answer, bytes, that is parsed whole to check that it is JSON. Of a larger one only its ends and its usage are read. */
const PARSED_WHOLE_BYTES = 64 * 1024;

/** A request that is under way to a worker. */
export interface SentRequest {
  /** Resolves with the worker's answer once its head is there. */
  readonly sent: Promise<WorkerResponse>;
  readonly attempt: Attempt;
}

/**
 * Turns a worker's answer into the client's. Throws GatewayError while the client has not seen a byte; later errors are
 * events in the stream. Ends the attempt and settles the record when the last byte has left.
 */
export async function relay(
  deps: StreamRelayDeps,
  request: InferenceRequest,
  { sent, attempt }: SentRequest,
  continuation: StreamContinuation | undefined,
): Promise<Reply> {
  const source: StreamSource = { upstream: await sent, attempt };
  try {
    const refused = checkAnswer(source, request);
    if (refused) await refused;
    if (!request.isStream) {
      const read = source.upstream.bytes(MAX_ANSWER_BYTES);
      return wholeReply(source, request, read instanceof Promise ? await read : read);
    }
    const stream = new StreamRelay(deps, request, source, continuation);
    return await stream.begin(answerHeaders(request, "text/event-stream"));
  } catch (thrown) {
    source.upstream.discard();
    throw lostBeforeAnswer(asGatewayError(thrown));
  }
}

/**
 * Checks the head of an answer. Throws its error, or rejects with it if the worker's own words must be read first. The exchange is
 * over then.
 */
export function checkAnswer(source: StreamSource, request: InferenceRequest): Promise<never> | undefined {
  const { upstream } = source;
  if (!isGood(upstream)) return refuse(source, request.endpoint.path);
  if (!isWanted(upstream, request)) return refuseForm(source);
  const encoding = upstream.headers.get("content-encoding");
  if (encoding === undefined || encoding === "identity") return undefined;
  upstream.discard();
  throw new GatewayError("invalid_upstream_response", "the worker's answer is encoded though it was asked not to be");
}

/** Refuses an answer of another content type than the request asked for. Some proxies answer a stream with an error as JSON, and 200. */
async function refuseForm({ upstream, attempt }: StreamSource): Promise<never> {
  try {
    if (JSON_TYPE.test(typeOf(upstream))) {
      const text = new TextDecoder().decode(await upstream.bytes(MAX_ERROR_BYTES));
      const failure = failureOfAnswer(jsonObjectOf(text));
      if (failure) throw engineError("upstream_error", failure, attempt.worker.spec.url);
    }
    throw new GatewayError("invalid_upstream_response", "the worker's answer has another type than was asked for");
  } finally {
    upstream.discard();
  }
}

async function refuse({ upstream, attempt }: StreamSource, path: string): Promise<never> {
  try {
    throw await readError(upstream, attempt, path);
  } finally {
    upstream.discard();
  }
}

function isGood({ status }: UpstreamResponse): boolean {
  return status >= 200 && status < 300;
}

/** Throws the error that a worker's status outside 2xx means. */
export async function checkStatus(upstream: UpstreamResponse, attempt: Attempt, path: string): Promise<void> {
  if (!isGood(upstream)) throw await readError(upstream, attempt, path);
}

async function readError(upstream: UpstreamResponse, attempt: Attempt, path: string): Promise<GatewayError> {
  const { status, headers } = upstream;
  const body = await upstream.bytes(MAX_ERROR_BYTES);
  return workerError({ status, headers, body, origin: attempt.worker.spec.url, path });
}

/** Whether the answer has the expected type: an event stream for streams; otherwise JSON under any of its names or without one, or the bytes that were asked for. */
function isWanted(upstream: UpstreamResponse, request: InferenceRequest): boolean {
  // Nearly every engine sends exactly this type.
  if (!request.isStream && isPlainJson(upstream)) return true;
  const type = typeOf(upstream);
  if (request.isStream) return type.startsWith("text/event-stream");
  return type === "" || JSON_TYPE.test(type) || isBytes(upstream, request);
}

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json *(?:;|$)/;

function isPlainJson({ headers }: UpstreamResponse): boolean {
  return headers.get("content-type") === "application/json";
}

function typeOf({ headers }: UpstreamResponse): string {
  return headers.get("content-type")?.toLowerCase() ?? "";
}

/** Whether the answer has embeddings as binary numbers, which vLLM supports. A separate header, or the request, describes them. */
function isBytes(upstream: UpstreamResponse, { body }: InferenceRequest): boolean {
  if (!typeOf(upstream).startsWith(OCTETS)) return false;
  const format = body.value("encoding_format");
  return format === "bytes" || format === "bytes_only";
}

const OCTETS = "application/octet-stream";

/** The client's reply for a complete answer. Throws invalid_upstream_response if its body is not valid for the request. */
function wholeReply({ upstream, attempt }: StreamSource, request: InferenceRequest, body: Uint8Array): Reply {
  const { record } = request;
  const { status } = upstream;
  let response: Reply;
  if (!isPlainJson(upstream) && isBytes(upstream, request)) {
    const metadata = upstream.headers.get("metadata");
    record.tokens = metadata === undefined ? undefined : readUsage(jsonObjectOf(metadata));
    response = { status, headers: answerHeaders(request, OCTETS), body };
    if (metadata !== undefined) response.headers["metadata"] = metadata;
  } else {
    record.tokens = readTokens(body, request, attempt);
    response = jsonAnswer(request, status, body);
  }
  attempt.end();
  record.settle(status, undefined, attempt.endedAt);
  return response;
}

/** A complete answer with the headers of its API. */
export function jsonAnswer(request: InferenceRequest, status: number, body: Uint8Array): Reply {
  return { status, headers: answerHeaders(request, "application/json"), body };
}

/** The counts of a whole answer. Throws invalid_upstream_response, and the engine's error where that stands in its place. */
function readTokens(body: Uint8Array, request: InferenceRequest, { worker }: Attempt): Usage | undefined {
  const text = body instanceof Buffer ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (body.length > PARSED_WHOLE_BYTES) return tokensOfLarge(text);
  let answer: unknown;
  try {
    answer = JSON.parse(text.toString());
  } catch {
    throw notJson();
  }
  const failure = failureOfAnswer(answer);
  if (failure) throw engineError("upstream_error", failure, worker.spec.url);
  return request.endpoint.dialect.usageOf(answer, request.body);
}

function notJson(): GatewayError {
  return new GatewayError("invalid_upstream_response", "the worker's answer is not valid JSON");
}

function tokensOfLarge(text: Buffer): Usage | undefined {
  const first = text[0];
  const last = text
    .toString("latin1", Math.max(0, text.length - 16))
    .trimEnd()
    .at(-1);
  if (!(first === OPEN_BRACE && last === "}") && !(first === OPEN_BRACKET && last === "]")) throw notJson();
  try {
    return usageNearEnd(text);
  } catch {
    throw notJson();
  }
}

/** Reads the usage of a large answer without parsing all of it: the last object with that name. */
function usageNearEnd(text: Buffer): Usage | undefined {
  const at = text.lastIndexOf('"usage":');
  const from = text.indexOf("{", at);
  if (at < 0 || from < 0) return undefined;
  let depth = 0;
  for (let index = from; index < text.length; index += 1) {
    if (text[index] === OPEN_BRACE) depth += 1;
    else if (text[index] === CLOSE_BRACE) depth -= 1;
    if (depth === 0) return readUsage({ usage: JSON.parse(text.toString("utf8", from, index + 1)) });
  }
  return undefined;
}

/** Header with the model that answered for a route; the body has the route's name. */
const SERVED_MODEL = "x-pointsman-model";

/** Headers of the client's answer. */
export function responseHeaders(request: InferenceRequest, contentType: string): Record<string, string> {
  const { record } = request;
  const headers: Record<string, string> = { "content-type": contentType };
  for (const name of request.endpoint.dialect.requestIdHeaders) headers[name] = record.requestId;
  if (record.receipt) headers[RECEIPT_HEADER] = record.receipt;
  if (request.isStream) {
    headers["cache-control"] = "no-cache";
    // Without it, proxies such as nginx buffer the stream.
    headers["x-accel-buffering"] = "no";
  }
  return headers;
}

/** Headers of an answer of which the first byte is there. Only then it is known which of a route's models has answered. */
function answerHeaders(request: InferenceRequest, contentType: string): Record<string, string> {
  const headers = responseHeaders(request, contentType);
  const { route, model } = request.record;
  if (route !== undefined && model !== undefined) headers[SERVED_MODEL] = inHeader(model);
  return headers;
}

/** A model's name as the value of a header: what a header must not have is percent-encoded. */
function inHeader(name: string): string {
  return name.toWellFormed().replaceAll(/[^\u0021-\u007e]/gu, encodeURIComponent);
}
