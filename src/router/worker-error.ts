import type { FieldReader } from "../util/header-reader.ts";
import { GatewayError } from "../errors/errors.ts";
import { withoutOrigin } from "../util/without-origin.ts";
import { retryAfterMs } from "./retry-after.ts";
import type { EngineFailure } from "../protocol/engine-failure.ts";
import { isJsonObject, type JsonObject, jsonObjectOf, objectField, stringField } from "../protocol/json/json.ts";

/** Most bytes read of a failed worker's answer; its log line has room for less. */
const MAX_WORDS_BYTES = 4096;

/** Statuses for "full", from the worker or a proxy; 529 comes from Anthropic, NVIDIA's NIM and Dynamo. */
const FULL: ReadonlySet<number> = new Set([429, 503, 529]);
/** Statuses of a proxy that got no complete answer from the worker; 520 and 524 are Cloudflare's, 598 and 599 other proxies'. */
const UNAVAILABLE: ReadonlySet<number> = new Set([502, 504, 520, 524, 598, 599]);
/** Statuses of a proxy (Cloudflare) that could not reach the worker, which therefore has nothing of the request. */
const NOT_REACHED: ReadonlySet<number> = new Set([521, 522, 523, 525, 526, 527, 530]);

/** A worker's answer with a status outside 2xx. */
export interface WorkerAnswer {
  readonly status: number;
  readonly headers: FieldReader;
  readonly body: Uint8Array;
  /** The worker's origin, which clients must not see. */
  readonly origin: string;
  /** Path of the requested route. */
  readonly path: string;
}

/** A worker's answer outside 2xx, as an error of the table. */
export function workerError(answer: WorkerAnswer): GatewayError {
  const { status } = answer;
  if (FULL.has(status)) return busy(retryAfterMs(answer.headers, Date.now()));
  if (status >= 500) return failed(answer);
  if (status === 401 || (status === 403 && !isForeignPage(answer))) {
    return authFailed();
  }
  if (status === 403) {
    return new GatewayError("upstream_unavailable", "something before the worker refused the request", {
      // A firewall inspects the request's text, so the request may have caused the refusal.
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

/** The worker is full. If it gives a time, it rests for that time. */
function busy(restMs: number | undefined): GatewayError {
  return new GatewayError("upstream_busy", "the workers are at capacity; try again later", {
    retryAfterSecs: restMs === undefined ? 1 : Math.max(1, Math.ceil(restMs / 1000)),
    ...(restMs === undefined ? {} : { restMs }),
  });
}

/** Whether the answer is a page of a firewall or a proxy: engines refuse with JSON, or with an empty body. */
function isForeignPage({ headers, body }: WorkerAnswer): boolean {
  if (headers.get("content-type")?.toLowerCase().startsWith("text/html") === true) return true;
  const text = new TextDecoder().decode(body).trim();
  return text !== "" && jsonObjectOf(text) === undefined;
}

/** The worker's words about its failure, for the log only: they may have paths, addresses and prompts. */
function wordsOf({ status, body }: WorkerAnswer): string {
  const text = new TextDecoder().decode(body.subarray(0, MAX_WORDS_BYTES));
  const parsed = jsonObjectOf(text);
  const words = (parsed && messageOf(parsed)) ?? text.trim();
  return `HTTP ${status}${words === "" ? "" : `: ${words}`}`;
}

/** What the client hears of an engine's error under a status of success, by where it stands. */
const FAILURES = {
  upstream_stream_error: "the engine failed within the stream",
  upstream_error: "the worker failed on this request",
} as const;

/**
 * The error for an engine's error within a stream (`upstream_stream_error`) or in the place of a whole answer (`upstream_error`), with the
 * status that it would have had.
 */
export function engineError(
  code: keyof typeof FAILURES,
  { message, status, param, code: workerCode }: EngineFailure,
  origin: string,
): GatewayError {
  if (status !== undefined && FULL.has(status)) return busy(undefined);
  if (status === 401 || status === 403) return authFailed();
  // An engine's words about its own failure are for the log only: they may have paths, addresses and prompts.
  if (status === undefined || status >= 500) return new GatewayError(code, FAILURES[code], { cause: message });
  // Another worker may serve the model.
  const ours = status === 404 ? "upstream_model_missing" : "upstream_rejected";
  return new GatewayError(ours, withoutOrigin(message, origin), {
    status,
    ...(param === undefined ? {} : { param }),
    ...(workerCode === undefined ? {} : { workerCode }),
  });
}

function authFailed(): GatewayError {
  return new GatewayError("upstream_auth_failed", "the worker refused the gateway's credential");
}

/**
 * The worker refused the client's request. Its message explains the mistake and is passed on. Shapes:
 * OpenAI and SGLang `{error:{message,param,code}}`, older vLLM `{object:"error",message,param}`, FastAPI `{detail}`.
 */
function rejected(answer: WorkerAnswer): GatewayError {
  const parsed = jsonObjectOf(new TextDecoder().decode(answer.body));
  if (isRouteMissing(answer.status, parsed)) {
    return new GatewayError("upstream_unimplemented", `the worker of this model does not serve ${answer.path}`);
  }
  // A proxy's page or an empty body has nothing that helps the client.
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
 * Whether the engine lacks the route, and not the model: FastAPI answers `{detail: "Not Found"}`, llama.cpp "File Not Found", and
 * Go's servers "404 page not found" without JSON.
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
 * What an answer failed with before the client had a byte of it: a stream before its first event, another answer before it was whole. It is as
 * if the worker had been lost before its head, and another worker may answer.
 */
export function lostBeforeAnswer(error: GatewayError): GatewayError {
  const { message, details } = error;
  if (error.code === "upstream_reset") return new GatewayError("upstream_closed", message, details);
  return error.code === "upstream_stalled" ? new GatewayError("upstream_timeout", message, details) : error;
}
