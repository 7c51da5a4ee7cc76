import { GatewayError } from "../errors/errors.ts";
import type { EngineFailure } from "../protocol/stream-reader.ts";
import { isJsonObject, type JsonObject, jsonObjectOf, objectField, stringField } from "../protocol/json.ts";

/** Longest message of a worker that is passed on, characters. */
const MAX_MESSAGE_CHARS = 2000;
/** Longest `Retry-After` that is believed, s. Clients give up beyond it. */
const MAX_RETRY_AFTER_SECS = 120;

/** A worker that refuses our key is left alone for this long: only its operator can change that. */
const REST_WITHOUT_CREDENTIAL_MS = 30_000;

export interface WorkerAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** The worker's origin, which must not appear in what clients see. */
  readonly origin: string;
}

/** A worker's answer outside 2xx, as an error of the table. */
export function workerError(answer: WorkerAnswer): GatewayError {
  const { status } = answer;
  if (status === 401 || status === 403) {
    return new GatewayError("upstream_auth_failed", "the worker refused the gateway's credential", {
      restMs: REST_WITHOUT_CREDENTIAL_MS,
    });
  }
  if (status === 429 || status === 503) return busy(answer.headers.get("retry-after"));
  if (status === 502 || status === 504) {
    return new GatewayError("upstream_unavailable", "the worker is not available");
  }
  if (status >= 500) return new GatewayError("upstream_error", "the worker failed on this request");
  if (status < 400) return new GatewayError("invalid_upstream_response", "the worker answered with a redirect");
  return rejected(answer);
}

/** The worker is full. Where it says for how long, it is left alone for that time. */
function busy(retryAfter: string | undefined): GatewayError {
  const isTold = retryAfter !== undefined && /^[0-9]{1,6}$/.test(retryAfter);
  const secs = isTold ? Math.min(Math.max(Number(retryAfter), 1), MAX_RETRY_AFTER_SECS) : 1;
  return new GatewayError("upstream_busy", "the workers are at capacity; try again later", {
    retryAfterSecs: secs,
    ...(isTold ? { restMs: secs * 1000 } : {}),
  });
}

/** An error that an engine told within a stream, with the status that it would have had. */
export function engineError({ message, status }: EngineFailure, origin: string): GatewayError {
  if (status === 429 || status === 503) return busy(undefined);
  // What an engine says of its own failure is for its operator: paths, addresses, prompts.
  if (status === undefined || status >= 500) {
    return new GatewayError("upstream_stream_error", "the engine failed within the stream");
  }
  return new GatewayError("upstream_rejected", clean(message, origin), { status });
}

/**
 * The client's request was refused by the worker. The message says what is wrong with it and is passed on. Shapes:
 * OpenAI and SGLang `{error:{message,param,code}}`, older vLLM `{object:"error",message,param}`, FastAPI `{detail}`.
 */
function rejected(answer: WorkerAnswer): GatewayError {
  // Where it is a proxy's page or empty, there is nothing in it that helps the client.
  const body = jsonObjectOf(new TextDecoder().decode(answer.body)) ?? {};
  const error = objectField(body, "error") ?? body;
  const message = stringField(error, "message") ?? stringField(body, "error") ?? detailOf(body);
  const param = stringField(error, "param");
  const code = stringField(error, "code");
  const text = clean(message ?? "the worker refused the request", answer.origin);
  // A route that the engine does not have is `{detail: "Not Found"}`; a model that it does not have is an error object.
  const isModelMissing = answer.status === 404 && body["detail"] === undefined;
  const workerCode = code ?? (isModelMissing ? "model_not_found" : undefined);
  return new GatewayError(isModelMissing ? "upstream_model_missing" : "upstream_rejected", text, {
    status: answer.status,
    ...(param === undefined ? {} : { param }),
    ...(workerCode === undefined ? {} : { workerCode }),
  });
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

function clean(message: string, origin: string): string {
  const host = origin.slice(origin.indexOf("//") + 2);
  return message.replaceAll(origin, "the worker").replaceAll(host, "the worker").slice(0, MAX_MESSAGE_CHARS);
}
