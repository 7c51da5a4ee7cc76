import type { BunRequest } from "bun";
import { type JsonObject, jsonObjectOf } from "../protocol/json/json.ts";
import { systemClock } from "../util/clock.ts";
import { countMessageTokens, messages } from "./anthropic-messages.ts";
import { constrainedText } from "./constraint.ts";
import { type EngineRank, namedRank } from "./engine-rank.ts";
import { generate, type Plan, planGeneration } from "./generation.ts";
import type { GenerationRun } from "./generation-run.ts";
import { infoRoutes, type RoleInfo } from "./info-routes.ts";
import { chatCompletions } from "./openai-chat.ts";
import { completions } from "./openai-completions.ts";
import { responses } from "./openai-responses.ts";
import { classify, embeddings, rerank, score } from "./pooling.ts";
import { PrefixCache } from "./prefix-cache.ts";
import { errorReply, eventReply } from "./reply.ts";
import { ENGINE_TIMING, type EngineTiming, Scheduler } from "./scheduler.ts";
import { generateNative } from "./sglang-generate.ts";

export interface EngineOptions {
  /** Port to listen on; 0, the default, takes a free one. */
  readonly port?: number;
  readonly model?: string;
  readonly extraModels?: readonly string[];
  /** Whose pages and errors the engine has. */
  readonly kind?: "vllm" | "sglang";
  /** The engine answers 401 to requests without this key in `Authorization: Bearer`. */
  readonly apiKey?: string;
  /** The engine gives all tokens at once, instead of at the pace of `timing`. */
  readonly instant?: boolean;
  readonly timing?: Partial<EngineTiming>;
  /** Tokens that the prefix cache of each rank holds. */
  readonly kvTokens?: number;
  /** Data-parallel ranks, each with a cache and a pace of its own; 1 by default. */
  readonly dpSize?: number;
  readonly maxModelLen?: number;
  /** Called for each inference request; a response that it returns is sent in place of the engine's own. Tests let the engine fail so. */
  readonly respond?: (request: RecordedRequest) => Response | Promise<Response> | undefined;
  /** The answer to every prompt. Without it an answer is a function of its prompt. */
  readonly says?: string;
  /** Makes the engine the prefill or the decode half of a pair. */
  readonly role?: EngineRole;
}

/** What an engine does around a generation as one half of a prefill/decode pair. */
export interface EngineRole {
  readonly info: RoleInfo;
  serve(request: RecordedRequest, run: GenerationRun, handler: Handler): Promise<Response>;
}

/** A request as the engine received it. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The data-parallel rank that answers it. */
  readonly rank: number;
  /** Aborted when the client closes the connection. */
  readonly signal: AbortSignal;
}

interface EngineStats {
  /** Generations that have begun. */
  started: number;
  /** Generations whose last token was given. */
  finished: number;
  /** Generations whose client left before the last token. */
  aborted: number;
}

export interface SimulatedEngine extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly stats: Readonly<EngineStats>;
  /** The last 1,000 inference requests. */
  readonly requests: readonly RecordedRequest[];
  /** Breaks every open connection and refuses new ones. */
  refuse(): Promise<void>;
  /** Listens again on the same port. */
  accept(): void;
  /** Closes every connection at once. */
  stop(): Promise<void>;
}

const KEPT_REQUESTS = 1000;

export type Handler = (run: GenerationRun) => Response | Promise<Response>;

const INFERENCE: Readonly<Record<string, Handler>> = {
  "/v1/chat/completions": chatCompletions,
  "/v1/completions": completions,
  "/v1/responses": responses,
  "/v1/messages": messages,
  "/v1/messages/count_tokens": countMessageTokens,
  "/generate": generateNative,
  "/v1/embeddings": ({ model, body }) => embeddings(model, body),
  "/v1/rerank": ({ model, body }) => rerank(model, body),
  "/v2/rerank": ({ model, body }) => rerank(model, body),
  "/rerank": ({ model, body }) => rerank(model, body),
  "/v1/score": ({ model, body }) => score(model, body),
  "/score": ({ model, body }) => score(model, body),
  "/v1/classify": ({ model, body }) => classify(model, body),
  "/classify": ({ model, body }) => classify(model, body),
  "/pooling": ({ model, body }) => embeddings(model, body),
};

/** Starts an engine on loopback. It answers the routes of vLLM and SGLang, with text that is a function of the prompt. */
export async function startEngine(options: EngineOptions = {}): Promise<SimulatedEngine> {
  const engine = new Engine(options);
  const listen = (port: number): Bun.Server<undefined> =>
    Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 0,
      routes: engine.routes(),
      fetch: () => Response.json({ detail: "Not Found" }, { status: 404 }),
    });
  let server: Bun.Server<undefined> | undefined = listen(options.port ?? 0);
  const port = server.port ?? 0;
  const refuse = async (): Promise<void> => {
    await server?.stop(true);
    server = undefined;
  };
  const stop = async (): Promise<void> => {
    engine.stop();
    await refuse();
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    stats: engine.stats,
    requests: engine.requests,
    refuse,
    accept: () => {
      server ??= listen(port);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

class Engine {
  readonly stats: EngineStats = { started: 0, finished: 0, aborted: 0 };
  readonly requests: RecordedRequest[] = [];
  readonly #options: EngineOptions;
  readonly #models: readonly string[];
  readonly #ranks: readonly EngineRank[];
  #nextRank = 0;
  readonly #kvTokens: number;
  readonly #startedAt = Date.now();

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#models = [options.model ?? "sim-1", ...(options.extraModels ?? [])];
    this.#kvTokens = options.kvTokens ?? 524_288;
    this.#ranks = Array.from({ length: options.dpSize ?? 1 }, () => ({
      cache: new PrefixCache(this.#kvTokens),
      scheduler: options.instant ? undefined : new Scheduler({ ...ENGINE_TIMING, ...options.timing }, systemClock),
    }));
  }

  stop(): void {
    for (const { scheduler } of this.#ranks) scheduler?.stop();
  }

  routes(): Record<string, (request: BunRequest) => Promise<Response>> {
    const { kind = "vllm", maxModelLen = 131_072, role } = this.#options;
    const routes: Record<string, (request: BunRequest) => Promise<Response>> = {};
    const info = infoRoutes({
      models: this.#models,
      kind,
      maxModelLen,
      ranks: this.#ranks,
      kvTokens: this.#kvTokens,
      startedAt: this.#startedAt,
      ...(role ? { role: role.info } : {}),
    });
    for (const [path, handle] of Object.entries(info))
      routes[path] = async (request) => this.#refusal(request) ?? handle(request);
    for (const [path, handler] of Object.entries(INFERENCE))
      routes[path] = (request) => this.#infer(request, path, handler);
    return routes;
  }

  #refusal(request: Request): Response | undefined {
    const { apiKey } = this.#options;
    if (apiKey === undefined || request.headers.get("authorization") === `Bearer ${apiKey}`) return undefined;
    return Response.json({ error: "Unauthorized" }, { status: 401 });
  }

  async #infer(request: BunRequest, path: string, handler: Handler): Promise<Response> {
    const body = await request.text();
    const { method, signal } = request;
    const headers: Record<string, string> = Object.fromEntries(request.headers);
    const json = jsonObjectOf(body);
    const chosen = this.#rankFor(headers, json ?? {});
    const rank = typeof chosen === "number" ? chosen : 0;
    const recorded = { method, path, headers, body, rank, signal };
    this.requests.push(recorded);
    if (this.requests.length > KEPT_REQUESTS) this.requests.shift();
    const refusal = this.#refusal(request) ?? (await this.#options.respond?.(recorded));
    if (refusal) return refusal;
    if (typeof chosen !== "number") return chosen;
    if (!json) return errorReply(400, "BadRequestError", "the body is not a JSON object");
    // vLLM and SGLang take an empty model name for the model that they serve.
    const named = json["model"];
    const model = typeof named === "string" && named !== "" ? named : (this.#models[0] ?? "");
    if (!this.#models.includes(model)) {
      return errorReply(404, "NotFoundError", `The model \`${model}\` does not exist.`, "model");
    }
    const says = this.#options.says ?? constrainedText(json);
    const run: GenerationRun = {
      model,
      body: json,
      plan: (prompt, begun) => planGeneration(json, prompt, this.#rankAt(rank).cache, begun, says),
      tokens: (plan) => this.#counted(plan, this.#rankAt(rank).scheduler, signal),
      events: eventReply,
      hasPrompt: true,
    };
    const { role } = this.#options;
    return role ? role.serve(recorded, run, handler) : handler(run);
  }

  /** The rank that a request names, otherwise the next in turn; an answer where there is no such rank. */
  #rankFor(headers: Readonly<Record<string, string>>, body: JsonObject): number | Response {
    const { kind = "vllm" } = this.#options;
    return namedRank({ kind, headers, body }, this.#ranks.length) ?? this.#nextRank++ % this.#ranks.length;
  }

  #rankAt(index: number): EngineRank {
    const rank = this.#ranks[index];
    if (!rank) throw new Error(`the engine has no rank ${index}`);
    return rank;
  }

  async *#counted(
    plan: Plan,
    scheduler: Scheduler | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<string, void, void> {
    this.stats.started += 1;
    let isWhole = false;
    const tokens = generate(plan, scheduler);
    // The signal tells at once of a client that leaves between two tokens.
    const leave = (): void => void tokens.return();
    signal.addEventListener("abort", leave, { once: true });
    try {
      for await (const token of tokens) {
        if (signal.aborted) return;
        yield token;
      }
      isWhole = !signal.aborted;
    } finally {
      signal.removeEventListener("abort", leave);
      if (isWhole) this.stats.finished += 1;
      else this.stats.aborted += 1;
    }
  }
}
