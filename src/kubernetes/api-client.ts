import { z } from "zod";
import type { Cluster } from "./cluster.ts";

/** A refusal of the API server, or a failure to reach it. `status` is 0 where it did not answer. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** Time in which the head of an answer must come, ms. */
const HEAD_MS = 15_000;
/** Largest event of a watch, characters: a pod may have some hundreds of kB of annotations. */
const MAX_LINE = 8 * 1024 * 1024;

const statusBody = z.looseObject({ message: z.string() });

/** Reads objects from the API server. Each call is one request. */
export class ApiClient {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** The JSON at a path. Throws ApiError. */
  async get(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<unknown> {
    const reply = await this.#ask(path, query, signal);
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

  async #ask(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    const { url, tls, token } = this.#cluster;
    const bearer = token();
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error("no answer within 15 s")), HEAD_MS);
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
    } finally {
      clearTimeout(timer);
    }
    if (reply.ok) return reply;
    throw new ApiError(reply.status, await refusal(path, reply));
  }
}

function failure(path: string, cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  return new ApiError(0, `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}

/** What the server said, in one sentence. For 403 it names the right that is missing. */
async function refusal(path: string, reply: Response): Promise<string> {
  const said = statusBody.safeParse(await reply.json().catch(() => undefined));
  return `${path}: ${reply.status}${said.success ? `, ${said.data.message}` : ""}`;
}
