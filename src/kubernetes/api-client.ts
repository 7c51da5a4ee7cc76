import { z } from "zod";
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
      return await reply.json();
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
        rest += decoder.decode(bytes, { stream: true });
        const lines = rest.split("\n");
        rest = lines.pop() ?? "";
        if (rest.length > MAX_LINE) throw new ApiError(0, `${path}: an event of more than 8 MiB`);
        for (const line of lines) if (line !== "") yield JSON.parse(line);
      }
    } catch (cause) {
      throw failure(path, cause);
    }
  }

  /** Resolves with an answer that is no refusal; its body is the caller's to read, and to bound. */
  async #ask(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    const { url, tls, token } = this.#cluster;
    const bearer = token();
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
  const said = statusBody.safeParse(await reply.json().catch(() => undefined));
  return `${path}: ${reply.status}${said.success ? `, ${said.data.message}` : ""}`;
}
