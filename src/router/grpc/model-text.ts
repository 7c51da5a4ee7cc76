import { GatewayError } from "../../errors/errors.ts";
import type { Logger } from "../../observability/logger.ts";
import type * as Choosing from "../../parser/choose-parser.ts";
import { type ParserChoice, parserOf } from "../parser-choice.ts";
import type { ReasoningParserName } from "../../parser/reasoning-parsers.ts";
import type { ToolCallParserName } from "../../parser/tool-call-parsers.ts";
import type * as Caching from "../../tokenizer/prefix-cache.ts";
import type { ChatTemplates } from "../../tokenizer/chat-templates.ts";
import type { Encoder, Tokenizer } from "../../tokenizer/tokenizer.ts";
import type { TokenizerRegistry, TokenizerSource } from "../../tokenizer/tokenizer-registry.ts";
import type { Worker } from "../../worker/worker.ts";
import type { Clock } from "../../util/clock.ts";
import { lazy } from "../../util/lazy.ts";
import { errorMessage } from "../../util/error-message.ts";
import { keysOf } from "../../util/objects.ts";
import { TOKENIZER_PATH_LABEL } from "../../worker/worker-spec.ts";
import type { WorkerRegistry } from "../../worker/worker-registry.ts";

/** The parsers and the cache come with the first tokenizer. */
const parsers = lazy((): typeof Choosing => require("../../parser/choose-parser.ts"));
const caches = lazy((): typeof Caching => require("../../tokenizer/prefix-cache.ts"));

/** Everything that turns one model's text into tokens, and its tokens into an answer. */
export interface ModelText {
  readonly tokenizer: Tokenizer;
  /** Those of the tokenizer, or with the configured one as default. */
  readonly chatTemplates: ChatTemplates;
  /** The tokenizer with a cache of earlier prompts in front of it. */
  readonly encoder: Encoder;
  readonly toolCallParser: ToolCallParserName | undefined;
  readonly reasoningParser: ReasoningParserName | undefined;
}

export interface ModelTextSettings {
  /** Path of the tokenizer for models without their own; undefined: workers are asked for theirs. */
  readonly tokenizerPath: string | undefined;
  /** Source of the template that replaces the models' own, unless their tokenizer was named with one. */
  readonly chatTemplate: string | undefined;
  /** By the model's name and template where the operator says nothing. */
  readonly toolCallParser: ParserChoice<ToolCallParserName>;
  readonly reasoningParser: ParserChoice<ReasoningParserName>;
  /** Size of each model's cache, bytes; 0 for none. */
  readonly cacheBytes: number;
}

export interface ModelTextsDeps {
  readonly tokenizers: TokenizerRegistry;
  readonly workers: WorkerRegistry;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Asks a worker for its tokenizer (GetTokenizer). */
  readonly fetchTokenizer: (worker: Worker) => Promise<TokenizerSource>;
  readonly settings: ModelTextSettings;
  /** Whether the worker's KV events are followed, so that policies compare its prompts as tokens. */
  readonly followsCache: (worker: Worker) => boolean;
}

/** Time after which a failed source is tried again, ms. */
const RETRY_MS = 5000;

/**
 * Models that no worker lists, as a worker with `model_id: "*"` takes any name, and whose tokenizer was looked for. Each may hold a
 * tokenizer of a hundred megabytes, and their names are the clients' own.
 */
const MOST_UNLISTED = 64;

/**
 * Finds the tokenizer of each model: one that was added by name, otherwise that of `tokenizer_path`, otherwise one that a worker of
 * the model sends. It is loaded when the model's first worker is ready, if possible before the first request.
 */
export class ModelTexts implements Disposable {
  #deps: ModelTextsDeps;
  readonly #texts = new Map<string, ModelText>();
  readonly #failures = new Map<string, { readonly error: GatewayError; readonly at: number }>();
  readonly #finding = new Map<string, Promise<Tokenizer>>();
  readonly #unlisted = new Set<string>();
  readonly #stopListening: () => void;

  constructor(deps: ModelTextsDeps) {
    this.#deps = deps;
    this.#stopListening = deps.workers.onChange((before, after) => this.#onChange(before, after));
    for (const worker of deps.workers.all()) this.#onChange(undefined, worker);
  }

  /** The model's text, at once if it is loaded. Rejects with tokenizer_unavailable. */
  of(model: string): ModelText | Promise<ModelText> {
    const tokenizer = this.#deps.tokenizers.get(model);
    return tokenizer
      ? this.#textWith(model, tokenizer)
      : this.#find(model).then((found) => this.#textWith(model, found));
  }

  /** The model's text if it is loaded. If it is not, and its tokenizer has a known place, it is looked for meanwhile. */
  ifLoaded(model: string): ModelText | undefined {
    const { tokenizers } = this.#deps;
    const tokenizer = tokenizers.get(model);
    if (tokenizer) return this.#textWith(model, tokenizer);
    if (tokenizers.info(model) !== undefined || this.#pathOf(model) !== undefined) this.#findAhead(model);
    return undefined;
  }

  /**
   * Changes the template, the parsers, and the size of caches. Where one changes, the caches of earlier prompts begin anew. Requests
   * that have their text keep it.
   */
  replace(changed: Omit<ModelTextSettings, "tokenizerPath">): void {
    const { settings } = this.#deps;
    const next = { ...changed, tokenizerPath: settings.tokenizerPath };
    if (keysOf(next).every((key) => next[key] === settings[key])) return;
    this.#deps = { ...this.#deps, settings: next };
    this.#texts.clear();
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    this.#texts.clear();
  }

  #textWith(model: string, tokenizer: Tokenizer): ModelText {
    const known = this.#texts.get(model);
    if (known && known.tokenizer === tokenizer) return known;
    const { settings } = this.#deps;
    const own = tokenizer.chatTemplates;
    const chatTemplates = settings.chatTemplate === undefined ? own : own.withDefault(settings.chatTemplate);
    const chatTemplate = chatTemplates.sourceOf("default");
    const about = { modelId: model, ...(chatTemplate === undefined ? {} : { chatTemplate }) };
    const text: ModelText = {
      tokenizer,
      chatTemplates,
      encoder: settings.cacheBytes > 0 ? new (caches().PrefixCache)(tokenizer, settings.cacheBytes) : tokenizer,
      toolCallParser: parserOf(settings.toolCallParser, () => parsers().toolCallParserFor(about)),
      reasoningParser: parserOf(settings.reasoningParser, () => parsers().reasoningParserFor(about)),
    };
    this.#texts.set(model, text);
    return text;
  }

  /** Starts a search, at most one at a time for a model. */
  #find(model: string): Promise<Tokenizer> {
    const known = this.#finding.get(model);
    if (known) return known;
    const failure = this.#failures.get(model);
    if (failure && this.#deps.clock.now() - failure.at < RETRY_MS) return Promise.reject(failure.error);
    if (!this.#hasRoomFor(model)) return Promise.reject(unavailable(model, TOO_MANY_UNLISTED));
    const search = this.#search(model)
      .catch((cause: unknown) => {
        const error = unavailable(model, cause);
        this.#failures.set(model, { error, at: this.#deps.clock.now() });
        this.#deps.logger.warn({ model, error: String(cause) }, "the model has no tokenizer");
        throw error;
      })
      .finally(() => this.#finding.delete(model));
    this.#finding.set(model, search);
    return search;
  }

  /** Whether a tokenizer may be looked for. Names that no worker lists are remembered, at most so many. */
  #hasRoomFor(model: string): boolean {
    if (this.#unlisted.has(model)) return true;
    if (this.#deps.workers.getWorkersForModel(model).available.some(({ models }) => models.includes(model)))
      return true;
    if (this.#unlisted.size >= MOST_UNLISTED) return false;
    this.#unlisted.add(model);
    return true;
  }

  async #search(model: string): Promise<Tokenizer> {
    const { tokenizers, settings, logger } = this.#deps;
    const info = tokenizers.info(model);
    if (info === undefined || info.status === "failed") tokenizers.add(model, await this.#source(model));
    const tokenizer = await tokenizers.whenLoaded(model);
    if (!tokenizer) throw new GatewayError("tokenizer_unavailable", "it was taken away");
    logger.info(
      { model, encodes: tokenizer.engine.name, reason: tokenizer.engine.reason, path: settings.tokenizerPath },
      "tokenizer loaded",
    );
    return tokenizer;
  }

  async #source(model: string): Promise<TokenizerSource> {
    const { workers, fetchTokenizer } = this.#deps;
    const path = this.#pathOf(model);
    if (path !== undefined) return { path };
    let reason: unknown = "no worker of the model can be asked";
    const asked = new Set<string>();
    // Looked up each time, because other workers may have become ready.
    const next = (): Worker | undefined =>
      workers.getWorkersForModel(model, "grpc").available.find(({ id }) => !asked.has(id));
    for (let worker = next(); worker; worker = next()) {
      asked.add(worker.id);
      try {
        return await fetchTokenizer(worker);
      } catch (error) {
        reason = error;
      }
    }
    throw reason;
  }

  /** The folder that a worker's label or the configuration names. */
  #pathOf(model: string): string | undefined {
    const { workers, settings } = this.#deps;
    for (const { spec } of workers.getWorkersForModel(model).available) {
      const named = spec.labels[TOKENIZER_PATH_LABEL];
      if (named !== undefined) return named;
    }
    return settings.tokenizerPath;
  }

  #onChange(before: Worker | undefined, after: Worker | undefined): void {
    if (after?.status !== "ready" || before?.status === "ready") return;
    if (after.connectionMode !== "grpc") {
      // Only policies want its tokens, and they can do without.
      if (this.#deps.followsCache(after)) for (const model of after.models) this.ifLoaded(model);
      return;
    }
    for (const model of after.models) {
      // This worker may have the tokenizer that others could not give.
      this.#failures.delete(model);
      this.#findAhead(model);
    }
  }

  #findAhead(model: string): void {
    // The next request for it gets the error.
    if (!this.#deps.tokenizers.get(model)) this.#find(model).catch(() => undefined);
  }
}

const TOO_MANY_UNLISTED = `${MOST_UNLISTED} models that no worker lists have been asked for already; list the models of the worker, or add their tokenizers by name`;

function unavailable(model: string, cause: unknown): GatewayError {
  const reason = errorMessage(cause);
  return new GatewayError("tokenizer_unavailable", `there is no tokenizer for ${JSON.stringify(model)}: ${reason}`, {
    retryAfterSecs: Math.ceil(RETRY_MS / 1000),
    cause,
  });
}
