import { asGatewayError, clientClosed, GatewayError } from "../errors/errors.ts";
import { errorFacts } from "../protocol/error-facts.ts";
import { mergeUsage, readUsage } from "../protocol/usage.ts";
import { SseScanner } from "../transport/sse-scanner.ts";
import type { UpstreamResponse } from "../transport/upstream.ts";
import type { Attempt } from "./attempt.ts";
import type { InferenceRequest } from "./router.ts";
import { workerError } from "./worker-error.ts";

/** Largest answer that is not streamed. 2,048 embeddings of 4,096 numbers as text are 170 MB. */
const MAX_ANSWER_BYTES = 512 * 1024 * 1024;
/** Of an error's body; what it says is a few lines. */
const MAX_ERROR_BYTES = 256 * 1024;
/** Up to this size an answer is parsed whole to see that it is JSON; beyond it its ends and its usage are looked at. */
const PARSED_WHOLE_BYTES = 64 * 1024;

/**
 * Turns a worker's answer into the client's. Throws GatewayError while the client has not seen a byte; from then on an
 * error is told within the stream. Ends the attempt and settles the record when the last byte has left.
 */
export async function relay(
  upstream: UpstreamResponse,
  request: InferenceRequest,
  attempt: Attempt,
): Promise<Response> {
  try {
    if (upstream.status < 200 || upstream.status >= 300) throw await readError(upstream, attempt);
    checkForm(upstream, request);
    return request.isStream
      ? await relayStream(upstream, request, attempt)
      : await relayWhole(upstream, request, attempt);
  } catch (error) {
    upstream.discard();
    throw error;
  }
}

async function readError(upstream: UpstreamResponse, attempt: Attempt): Promise<GatewayError> {
  const { status, headers } = upstream;
  const body = await upstream.bytes(MAX_ERROR_BYTES);
  return workerError({ status, headers, body, origin: attempt.worker.url });
}

/** A stream must be a stream, and an answer JSON: what carries another label is not passed on under a wrong one. */
function checkForm(upstream: UpstreamResponse, request: InferenceRequest): void {
  const type = upstream.headers.get("content-type") ?? "";
  const wanted = request.isStream ? "text/event-stream" : "application/json";
  if (!type.toLowerCase().startsWith(wanted)) {
    throw new GatewayError("invalid_upstream_response", "the worker's answer has another type than was asked for");
  }
  const encoding = upstream.headers.get("content-encoding");
  if (encoding !== undefined && encoding !== "identity") {
    throw new GatewayError("invalid_upstream_response", "the worker's answer is encoded though it was asked not to be");
  }
}

async function relayWhole(upstream: UpstreamResponse, request: InferenceRequest, attempt: Attempt): Promise<Response> {
  const body = await upstream.bytes(MAX_ANSWER_BYTES);
  const { record } = request;
  record.tokens = readTokens(body);
  attempt.end();
  const response = new Response(body, {
    status: upstream.status,
    headers: responseHeaders(request, "application/json"),
  });
  record.settle(upstream.status);
  return response;
}

function readTokens(body: Uint8Array): ReturnType<typeof readUsage> {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  try {
    if (body.length <= PARSED_WHOLE_BYTES) return readUsage(JSON.parse(text.toString()));
    const first = text[0];
    const last = text
      .toString("latin1", Math.max(0, text.length - 16))
      .trimEnd()
      .at(-1);
    if ((first === 123 && last === "}") || (first === 91 && last === "]")) return usageNearEnd(text);
  } catch {
    // Falls through: what is not JSON is not an answer.
  }
  throw new GatewayError("invalid_upstream_response", "the worker's answer is not valid JSON");
}

/** The usage of a large answer without parsing it: the last object of that name. */
function usageNearEnd(text: Buffer): ReturnType<typeof readUsage> {
  const at = text.lastIndexOf('"usage":');
  const from = text.indexOf("{", at);
  if (at < 0 || from < 0) return undefined;
  let depth = 0;
  for (let index = from; index < text.length; index += 1) {
    if (text[index] === 123) depth += 1;
    else if (text[index] === 125) depth -= 1;
    if (depth === 0) return readUsage({ usage: JSON.parse(text.toString("utf8", from, index + 1)) });
  }
  return undefined;
}

async function relayStream(upstream: UpstreamResponse, request: InferenceRequest, attempt: Attempt): Promise<Response> {
  const { dialect } = request.endpoint;
  const scanner = new SseScanner({
    end: dialect.endMarkers,
    finish: dialect.missingEnd?.afterEventWith ?? [],
    usage: dialect.usageMarker,
  });
  const first = await nextEvents(upstream, scanner);
  if (!first) throw new GatewayError("upstream_truncated", "the worker's stream ended before its first event");
  const { record } = request;
  record.ttftMs = performance.now() - record.startedAt;
  attempt.prefillDone();
  let isPumping = false;
  const source: Bun.DirectUnderlyingSource<Uint8Array> = {
    type: "direct",
    pull: (controller) => {
      isPumping = true;
      return pump(controller, first, { upstream, scanner, request, attempt });
    },
    // Called alone where the client left before the stream was begun, and after that besides the pump's own end.
    cancel: () => {
      if (isPumping) return;
      attempt.end(clientClosed());
      record.settle(clientClosed().status, "client_closed");
      upstream.discard();
    },
  };
  return new Response(new ReadableStream(source), {
    status: upstream.status,
    headers: responseHeaders(request, "text/event-stream"),
  });
}

interface Stream {
  readonly upstream: UpstreamResponse;
  readonly scanner: SseScanner;
  readonly request: InferenceRequest;
  readonly attempt: Attempt;
}

/** The next whole events, or undefined at the end of the worker's stream. */
async function nextEvents(upstream: UpstreamResponse, scanner: SseScanner): Promise<Uint8Array | undefined> {
  for (;;) {
    const next = upstream.read();
    const chunk = next instanceof Promise ? await next : next;
    if (!chunk) return undefined;
    const events = scanner.push(chunk);
    if (events.length > 0) return events;
  }
}

/** Passes events on until the stream ends one way or another, then settles everything. */
async function pump(controller: ReadableStreamDirectController, first: Uint8Array, stream: Stream): Promise<void> {
  const { scanner, request, attempt, upstream } = stream;
  const { record } = request;
  let failure: GatewayError | undefined;
  try {
    await write(controller, first);
    while (!scanner.isEnded) {
      const next = upstream.read();
      const chunk = next instanceof Promise ? await next : next;
      if (!chunk) break;
      const events = scanner.push(chunk);
      if (events.length === 0) continue;
      const written = controller.write(events);
      if (written instanceof Promise) await written;
    }
    record.lastEventMs = performance.now() - record.startedAt;
    if (!scanner.isEnded) await writeMissingEnd(controller, stream);
  } catch (thrown) {
    failure = request.signal.aborted ? clientClosed() : asGatewayError(thrown);
    if (failure.code !== "client_closed") {
      await write(controller, request.endpoint.dialect.errorEvent(errorFacts(failure, record.requestId)));
    }
  } finally {
    record.events = scanner.events;
    record.tokens = readStreamTokens(scanner);
    attempt.end(failure);
    record.settle(failure?.code === "client_closed" ? failure.status : upstream.status, failure?.code);
    controller.close();
    await finishUpstream(upstream);
  }
}

/** `write` gives a promise under pressure; not awaiting it would buffer without end. */
async function write(controller: ReadableStreamDirectController, bytes: Uint8Array | string): Promise<void> {
  const written = controller.write(bytes);
  if (written instanceof Promise) await written;
}

/** The worker's stream ended without its end marker: an answer that said why it stopped is whole, another was cut. */
async function writeMissingEnd(
  controller: ReadableStreamDirectController,
  { scanner, request }: Stream,
): Promise<void> {
  const { missingEnd } = request.endpoint.dialect;
  if (!missingEnd || !scanner.isFinished) {
    throw new GatewayError("upstream_truncated", "the worker's stream ended before the answer was whole");
  }
  await write(controller, missingEnd.event);
}

/** After the end marker only the end of the body may follow; it is read so that the connection can be used again. */
async function finishUpstream(upstream: UpstreamResponse): Promise<void> {
  try {
    if (await upstream.read()) upstream.discard();
  } catch {
    // The client has its whole answer; a connection that ends badly is not used again, and that is all.
  }
}

function readStreamTokens(scanner: SseScanner): ReturnType<typeof readUsage> {
  return mergeUsage(parseUsage(scanner.firstUsage), parseUsage(scanner.lastUsage));
}

function parseUsage(data: string | undefined): ReturnType<typeof readUsage> {
  if (data === undefined) return undefined;
  try {
    return readUsage(JSON.parse(data));
  } catch {
    // An event that is not JSON has no counts; whether it is an error is for its reader to say.
    return undefined;
  }
}

function responseHeaders(request: InferenceRequest, contentType: string): Record<string, string> {
  const headers: Record<string, string> = { "content-type": contentType };
  for (const name of request.endpoint.dialect.requestIdHeaders) headers[name] = request.record.requestId;
  if (request.isStream) {
    headers["cache-control"] = "no-cache";
    // Proxies in front of us, nginx first, would gather the stream otherwise.
    headers["x-accel-buffering"] = "no";
  }
  return headers;
}
