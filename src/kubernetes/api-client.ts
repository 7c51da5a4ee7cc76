import { z } from "zod";
import { boundedText } from "../util/bounded-text.ts";
import { fetchFailure } from "../util/fetch-failure.ts";
import type { Cluster } from "./cluster.ts";
import { errorMessage } from "../util/error-message.ts";

/** A refusal of the API server, or a failure to reach it. `status` is 0 where it did not answer. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** Time in which the head of an answer must come, ms; and the whole answer, where it is none of a watch. */
const BOUNDS = { headMs: 15_000, wholeMs: 60_000 };
/** Largest event of a watch, characters: a pod may have some hundreds of kB of annotations. */
const MAX_LINE = 8 * 1024 * 1024;
/** Largest answer that is none of a watch, bytes: a page of 500 pods has some 10 MB. */
const MAX_ANSWER = 256 * 1024 * 1024;
/** Largest refusal that is read, bytes, and most characters of its words that are told. */
const MAX_REFUSAL = 64 * 1024;
const MAX_WORDS = 1000;

const statusBody = z.looseObject({ message: z.string() });

/** Reads objects from the API server. Each call is one request. */
export class ApiClient {
  readonly #cluster: Cluster;
  readonly #bounds: typeof BOUNDS;

  constructor(cluster: Cluster, bounds = BOUNDS) {
    this.#cluster = cluster;
    this.#bounds = bounds;
  }

  /** The JSON at a path. Throws ApiError. */
  async get(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<unknown> {
    using late = new Deadline(this.#bounds.wholeMs);
    const reply = await this.#ask(path, query, AbortSignal.any([signal, late.signal]));
    try {
      return await bodyOf(reply, MAX_ANSWER);
    } catch (cause) {
      throw failure(path, cause);
    }
  }

  /** Opens a watch: its lines of JSON, each parsed, until the server ends it. Throws ApiError, here and while it is read. */
  async open(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<AsyncIterable<unknown>> {
    return this.#linesOf(path, await this.#ask(path, query, signal));
  }

  async *#linesOf(path: string, reply: Response): AsyncGenerator {
    const decoder = new TextDecoder();
    let rest = "";
    try {
      for await (const bytes of reply.body ?? []) {
        const [first = "", ...lines] = decoder.decode(bytes, { stream: true }).split("\n");
        rest += first;
        for (const line of lines) {
          if (rest !== "") yield parsed(rest);
          rest = line;
        }
        if (rest.length > MAX_LINE) throw new Error("an event of more than 8 MiB");
      }
    } catch (cause) {
      throw failure(path, cause);
    }
  }

  /** Resolves with an answer that is no refusal; its body is the caller's to read, and to bound. */
  async #ask(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    const { url } = this.#cluster;
    const [bearer, tls] = [this.#cluster.token(), this.#cluster.tls()];
    // Of a refusal the words are read as well.
    using late = new Deadline(this.#bounds.headMs);
    let reply: Response;
    try {
      reply = await fetch(`${url}${path}?${new URLSearchParams(query).toString()}`, {
        headers: { accept: "application/json", ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }) },
        signal: AbortSignal.any([signal, late.signal]),
        redirect: "error",
        tls,
        // A watch is silent for as long as nothing happens; Bun would end it after five minutes.
        timeout: false,
      });
    } catch (cause) {
      throw failure(path, cause);
    }
    if (reply.ok) return reply;
    throw new ApiError(reply.status, await refusal(path, reply));
  }
}

/** Aborts after a time, unless it is disposed of before. */
class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(ms: number) {
    const words = `the answer was not there within ${ms / 1000} s`;
    this.#timer = setTimeout(() => this.#controller.abort(new Error(words)), ms);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** Any error of following a collection as one of the API server's. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, errorMessage(error), { cause: error });
}

function failure(path: string, cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  return new ApiError(0, `${path}: ${fetchFailure(cause)}`, { cause });
}

/** What the server said, in one sentence. For 403 it names the right that is missing. */
async function refusal(path: string, reply: Response): Promise<string> {
  let words = "";
  try {
    const said = statusBody.safeParse(await bodyOf(reply, MAX_REFUSAL));
    if (said.success) words = `, ${said.data.message.slice(0, MAX_WORDS)}`;
  } catch {
    // The status says enough: what stands before the server may answer in any form.
  }
  return `${path}: ${reply.status}${words}`;
}

/** What an answer of at most so many bytes says. Throws for a larger one. */
async function bodyOf(reply: Response, most: number): Promise<unknown> {
  const text = await boundedText(reply, most);
  if (text === undefined) throw new Error(`an answer of more than ${most / 1024} KiB`);
  return parsed(text);
}

/** What a text of JSON says. Throws without a word of the text, which may be any page. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error("what it says is no JSON", { cause });
  }
}
