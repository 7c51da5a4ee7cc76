import { asGatewayError, type GatewayError } from "../errors/errors.ts";
import type { UpstreamResponse } from "../transport/upstream.ts";
import type { ProbeFailure } from "../worker/prober.ts";
import type { Addressee, WorkerClient } from "./worker-client.ts";

/** Largest answer that is read, bytes. */
const MAX_BYTES = 1024 * 1024;
/** As above, for pages of metrics: with many adapters and buckets they are long. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024;
/** Most characters of a worker's own words about its failure. */
const MAX_WORDS = 200;

/** A page of a worker: its JSON, or that the worker has none, or why that is not known yet. */
export type Page =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "none" }
  | { readonly kind: "failed"; readonly failure: ProbeFailure };

/** A question for a page: the worker, the page, and the time limit, ms. */
export interface ProbeQuestion extends Addressee {
  readonly path: string;
  readonly timeoutMs: number;
}

/** Asks HTTP workers for their health and their pages. No method throws. */
export interface ProbeClient {
  /** undefined if the worker answers 2xx in time. */
  health(question: ProbeQuestion): Promise<ProbeFailure | undefined>;
  page(question: ProbeQuestion): Promise<Page>;
  /** A page of another kind than JSON; empty if there is none. */
  text(question: ProbeQuestion): Promise<string>;
}

/** Reads answers of workers, and describes failures for operators. */
export function createProbeClient(client: Pick<WorkerClient, "page">): ProbeClient {
  const get = async (question: ProbeQuestion): Promise<UpstreamResponse> =>
    client.page(question, { method: "GET", path: question.path, timeoutMs: question.timeoutMs });
  return {
    async health(question) {
      try {
        const answer = await get(question);
        if (isGood(answer.status)) {
          answer.discard();
          return undefined;
        }
        return refusedBy(question, answer.status, await wordsOf(answer));
      } catch (thrown) {
        return unanswered(question, asGatewayError(thrown));
      }
    },
    async page(question) {
      try {
        const answer = await get(question);
        if (NO_SUCH_PAGE.has(answer.status)) {
          answer.discard();
          return { kind: "none" };
        }
        if (!isGood(answer.status)) {
          return { kind: "failed", failure: refusedBy(question, answer.status, await wordsOf(answer)) };
        }
        return jsonOf(question, await answer.bytes(MAX_BYTES));
      } catch (thrown) {
        return { kind: "failed", failure: unanswered(question, asGatewayError(thrown)) };
      }
    },
    async text(question) {
      try {
        const answer = await get(question);
        if (isGood(answer.status)) return new TextDecoder().decode(await answer.bytes(MAX_TEXT_BYTES));
        answer.discard();
      } catch {
        // A page that nobody must have: without it the worker has a fact less.
      }
      return "";
    },
  };
}

/** The worker has no such page, or no GET for it. */
const NO_SUCH_PAGE: ReadonlySet<number> = new Set([404, 405, 501]);

function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}

function jsonOf(question: ProbeQuestion, bytes: Uint8Array): Page {
  try {
    return { kind: "json", value: JSON.parse(new TextDecoder().decode(bytes)) };
  } catch {
    const reason = `GET ${question.path} answered something that is not JSON`;
    return { kind: "failed", failure: { code: "invalid_upstream_response", reason } };
  }
}

/** The worker's own words on one line; empty if they cannot be read. */
async function wordsOf(answer: UpstreamResponse): Promise<string> {
  try {
    const text = new TextDecoder().decode(await answer.bytes(MAX_BYTES));
    return text.replaceAll(/\s+/g, " ").trim().slice(0, MAX_WORDS);
  } catch {
    // Only the status is known then.
    answer.discard();
    return "";
  }
}

function refusedBy({ path, apiKey }: ProbeQuestion, status: number, words: string): ProbeFailure {
  if (status === 508) {
    const reason = `GET ${path} came back to this gateway: the address is the gateway's own, or leads to it`;
    return { code: "request_loop", reason };
  }
  const said = words === "" ? "" : `: ${words}`;
  if (status === 401 || status === 403) {
    const advice =
      apiKey === undefined
        ? "the worker wants a key and has none here (`--worker-api-key`, or the worker's `api_key`)"
        : "the worker refuses its `api_key`";
    return { code: "upstream_auth_failed", reason: `GET ${path} answered ${status}, so ${advice}` };
  }
  return { code: "upstream_unavailable", reason: `GET ${path} answered ${status}${said}` };
}

function unanswered({ path, timeoutMs }: ProbeQuestion, error: GatewayError): ProbeFailure {
  const failure = failureOf(error, `GET ${path}`, timeoutMs);
  // A gRPC server answers a request of HTTP/1.1 with frames of HTTP/2.
  if (error.code !== "upstream_protocol_error") return failure;
  return { ...failure, reason: `${failure.reason}; a worker that speaks gRPC is named grpc://HOST:PORT` };
}

/** Describes a transport's error for operators. `question`: the question without an answer. */
export function failureOf(error: GatewayError, question: string, timeoutMs: number): ProbeFailure {
  const secs = timeoutMs / 1000;
  switch (error.code) {
    case "upstream_connect_timeout":
      return { code: error.code, reason: `no connection within ${secs} s` };
    case "upstream_timeout":
    case "upstream_stalled":
      return { code: error.code, reason: `${question} had no answer within ${secs} s` };
    default:
      return { code: error.code, reason: causeOf(error) };
  }
}

/** The system's error, in words that name what to check. */
function causeOf(error: GatewayError): string {
  const cause = error.cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const known = SYSTEM_WORDS.find(([pattern]) => pattern.test(code));
  if (known) return known[1];
  return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message;
}

const SYSTEM_WORDS: readonly (readonly [code: RegExp, words: string])[] = [
  [/ENOTFOUND|EAI_|DNS/, "its name does not resolve"],
  [/ECONNREFUSED/, "it refuses connections: nobody listens at this address"],
  [/ECONNRESET|EPIPE/, "it broke the connection"],
  [/EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL/, "there is no way to its address"],
];
