import type { FieldReader } from "../transport/http1/fields.ts";
import { GatewayError } from "../errors/errors.ts";
import { withoutOrigin } from "../util/without-origin.ts";
import { retryAfterMs } from "./retry-after.ts";
import type { EngineFailure } from "../protocol/stream-reader.ts";
import { isJsonObject, type JsonObject, jsonObjectOf, objectField, stringField } from "../protocol/json/json.ts";

/** Of the answer of a worker that failed, bytes: its log line has room for less. */
const MAX_WORDS_BYTES = 4096;

/** The worker, or a proxy before it, has no room now; 529 is said by Anthropic, NVIDIA's NIM and Dynamo. */
const FULL: ReadonlySet<number> = new Set([429, 503, 529]);
/** A proxy before the worker had no whole answer of it; 520 and 524 are Cloudflare's, 598 and 599 those of other proxies. */
const UNAVAILABLE: ReadonlySet<number> = new Set([502, 504, 520, 524, 598, 599]);
/** A proxy before the worker could not reach it, so that the worker has nothing of the request (Cloudflare). */
const NOT_REACHED: ReadonlySet<number> = new Set([521, 522, 523, 525, 526, 527, 530]);

export interface WorkerAnswer {
  readonly status: number;
  readonly headers: FieldReader;
  readonly body: Uint8Array;
  /** The worker's origin, which must not appear in what clients see. */
  readonly origin: string;
  /** Path of the route that it was asked for. */
  readonly path: string;
}

/** A worker's answer outside 2xx, as an error of the table. */
export function workerError(answer: WorkerAnswer): GatewayError {
  const { status } = answer;
  if (FULL.has(status)) return busy(retryAfterMs(answer.headers, Date.now()));
  if (status >= 500) return failed(answer);
  if (status === 401 || (status === 403 && !isForeignPage(answer))) {
    return new GatewayError("upstream_auth_failed", "the worker refused the gateway's credential");
  }
  if (status === 403) {
    return new GatewayError("upstream_unavailable", "something before the worker refused the request", {
      // A firewall looks at what a request says, so that it may be the request's doing.
      news: "doubtful",
      cause: wordsOf(answer),
    });
  }
  if (status < 400) return new GatewayError("invalid_upstream_response", "the worker answered with a redirect");
  return rejected(answer);
}

function failed(answer: WorkerAnswer): GatewayError {
  const cause = wordsOf(answer);
  if (UNAVAILABLE.has(answer.status)) {
    return new GatewayError("upstream_unavailable", "the worker is not available", { cause });
  }
  if (NOT_REACHED.has(answer.status)) {
    return new GatewayError("upstream_connect_failed", "a proxy before the worker could not reach it", { cause });
  }
  return new GatewayError("upstream_error", "the worker failed on this request", { cause });
}

/** The worker is full. Where it says for how long, it is left alone for that time. */
function busy(restMs: number | undefined): GatewayError {
  return new GatewayError("upstream_busy", "the workers are at capacity; try again later", {
    retryAfterSecs: restMs === undefined ? 1 : Math.max(1, Math.ceil(restMs / 1000)),
    ...(restMs === undefined ? {} : { restMs }),
  });
}

/** A page of a firewall or a proxy: engines refuse in JSON, or without a word. */
function isForeignPage({ headers, body }: WorkerAnswer): boolean {
  if (headers.get("content-type")?.toLowerCase().startsWith("text/html") === true) return true;
  const text = new TextDecoder().decode(body).trim();
  return text !== "" && jsonObjectOf(text) === undefined;
}

/** What the worker says of its failure, for its operator's log: paths, addresses, and maybe prompts are in it. */
function wordsOf({ status, body }: WorkerAnswer): string {
  const text = new TextDecoder().decode(body.subarray(0, MAX_WORDS_BYTES));
  const parsed = jsonObjectOf(text);
  const words = (parsed && messageOf(parsed)) ?? text.trim();
  return `HTTP ${status}${words === "" ? "" : `: ${words}`}`;
}

/** An error that an engine told within a stream, with the status that it would have had. */
export function engineError({ message, status }: EngineFailure, origin: string): GatewayError {
  if (status !== undefined && FULL.has(status)) return busy(undefined);
  // What an engine says of its own failure is for its operator: paths, addresses, prompts.
  if (status === undefined || status >= 500) {
    return new GatewayError("upstream_stream_error", "the engine failed within the stream", { cause: message });
  }
  return new GatewayError("upstream_rejected", withoutOrigin(message, origin), { status });
}

/**
 * The client's request was refused by the worker. The message says what is wrong with it and is passed on. Shapes:
 * OpenAI and SGLang `{error:{message,param,code}}`, older vLLM `{object:"error",message,param}`, FastAPI `{detail}`.
 */
function rejected(answer: WorkerAnswer): GatewayError {
  const parsed = jsonObjectOf(new TextDecoder().decode(answer.body));
  if (isRouteMissing(answer.status, parsed)) {
    return new GatewayError("upstream_unimplemented", `the worker of this model does not serve ${answer.path}`);
  }
  // Where it is a proxy's page or empty, there is nothing in it that helps the client.
  const body = parsed ?? {};
  const error = objectField(body, "error") ?? body;
  const message = messageOf(body);
  const param = stringField(error, "param");
  const code = stringField(error, "code");
  const text = withoutOrigin(message ?? "the worker refused the request", answer.origin);
  const isModelMissing = answer.status === 404 && body["detail"] === undefined;
  const workerCode = code ?? (isModelMissing ? "model_not_found" : undefined);
  return new GatewayError(isModelMissing ? "upstream_model_missing" : "upstream_rejected", text, {
    status: answer.status,
    ...(param === undefined ? {} : { param }),
    ...(workerCode === undefined ? {} : { workerCode }),
  });
}

/**
 * Whether it is the route that the engine does not have, and not the model: FastAPI says `{detail: "Not Found"}`, llama.cpp
 * "File Not Found", and Go's servers "404 page not found" without JSON.
 */
function isRouteMissing(status: number, body: JsonObject | undefined): boolean {
  if (status !== 404 && status !== 405) return false;
  return body === undefined || NO_SUCH_ROUTE.test(messageOf(body) ?? "");
}

const NO_SUCH_ROUTE = /^(?:file )?not found$|^method not allowed$|page not found/i;

function messageOf(body: JsonObject): string | undefined {
  const error = objectField(body, "error") ?? body;
  return stringField(error, "message") ?? stringField(body, "error") ?? detailOf(body);
}

/** FastAPI: `detail` is a sentence, or a list of `{loc, msg}`. */
function detailOf(body: JsonObject): string | undefined {
  const detail = body["detail"];
  if (typeof detail === "string") return detail;
  if (!Array.isArray(detail)) return undefined;
  const parts = detail.filter(isJsonObject).map((item) => {
    const where = item["loc"];
    return `${Array.isArray(where) ? `${where.join(".")}: ` : ""}${stringField(item, "msg") ?? ""}`;
  });
  return parts.length > 0 ? parts.join("; ") : undefined;
}

/**
 * What a stream failed with before its first event. The client has nothing of the answer, so that it is as if the worker had
 * been lost before its head, and another worker may answer.
 */
export function lostBeforeAnswer(error: GatewayError): GatewayError {
  const { message, details } = error;
  if (error.code === "upstream_reset") return new GatewayError("upstream_closed", message, details);
  return error.code === "upstream_stalled" ? new GatewayError("upstream_timeout", message, details) : error;
}
