import type { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import type { Worker } from "../worker/worker.ts";

/** The parts of a request for the log line, and its body, which must not be in the line. */
export interface FailedRequest {
  readonly record: { readonly requestId: string };
  readonly body: { readonly bytes: Uint8Array };
}

/** Shortest time between two lines for one worker, ms. */
const LINE_EVERY_MS = 1000;
/** Workers that are remembered. */
const MAX_WORKERS = 20_000;
/** Most characters of a worker's own words. */
const MAX_WORDS = 300;
/** Length of a text in both the words and the request that counts as an echo of the request, characters. */
const ECHO_CHARS = 8;
/** Largest request that is searched for echoes, bytes. For larger requests the words are left out. */
const MAX_SEARCHED_BYTES = 512 * 1024;

interface Told {
  at: number;
  untold: number;
}

/**
 * Logs why requests failed at workers, in the workers' own words: at most one line a second for each worker, with the number of
 * failures that got no line. Engines often repeat the request in their errors, and prompts must not be in logs. So texts that
 * are also in the request, and the worker's key, are left out.
 */
export class FailureLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #told = new Map<string, Told>();

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** Logs a failure. Returns the words of the line, if one was written. */
  tell(worker: Worker, error: GatewayError, request: FailedRequest): string | undefined {
    const now = this.#clock.now();
    const told = this.#told.get(worker.id);
    if (told && now - told.at < LINE_EVERY_MS) {
      told.untold += 1;
      return undefined;
    }
    // Workers that have left need no entry.
    if (this.#told.size >= MAX_WORKERS) this.#told.clear();
    this.#told.set(worker.id, { at: now, untold: 0 });
    const said = wordsOf(error, worker, request);
    this.#logger.warn(
      {
        request_id: request.record.requestId,
        worker: worker.id,
        url: worker.url,
        code: error.code,
        said,
        not_told: told?.untold ?? 0,
      },
      "a request failed at the worker",
    );
    return said ?? error.message;
  }
}

function wordsOf({ cause }: GatewayError, worker: Worker, { body }: FailedRequest): string | undefined {
  const words = typeof cause === "string" ? cause : cause instanceof Error ? cause.message : "";
  if (words === "" || body.bytes.length > MAX_SEARCHED_BYTES) return undefined;
  // Only printable ASCII can be compared, because a request and its echo may escape other characters differently.
  const plain = words.slice(0, MAX_WORDS).replaceAll(/[^ -~]+/g, " ");
  const key = worker.spec.apiKey?.reveal();
  const keyless = key === undefined || key === "" ? plain : plain.replaceAll(key, "...");
  return withoutEcho(keyless, Buffer.from(body.bytes.buffer, body.bytes.byteOffset, body.bytes.byteLength));
}

/** The words without texts that are also in the request. */
export function withoutEcho(words: string, request: Buffer): string {
  let kept = "";
  let isCut = false;
  for (let at = 0; at < words.length;) {
    let end = at;
    if (words.length - at >= ECHO_CHARS && request.includes(words.slice(at, at + ECHO_CHARS), 0, "latin1")) {
      end = at + ECHO_CHARS;
      while (end < words.length && request.includes(words.slice(end - ECHO_CHARS + 1, end + 1), 0, "latin1")) end += 1;
    }
    if (end > at) {
      if (!isCut) kept += "...";
      isCut = true;
      at = end;
    } else {
      kept += words[at] ?? "";
      isCut = false;
      at += 1;
    }
  }
  return kept;
}
