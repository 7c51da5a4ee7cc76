import type { FinishReason, GenerationRequest, Sampling, TokenLogprob } from "../../protocol/generation.ts";

/** What one sequence, or the `n` of one prompt, is asked of an engine with. */
export interface GenerateCall {
  readonly requestId: string;
  readonly ids: Uint32Array;
  /** The prompt as text, where it was one; SGLang logs it. */
  readonly text: string;
  readonly request: GenerationRequest;
  /** With the model's defaults filled in. */
  readonly sampling: Sampling;
  /** Token by token; else the engine answers once for each sequence. */
  readonly isStreamed: boolean;
  readonly kv: KvHandover | undefined;
  /** Of several data-parallel ranks behind the worker: which one; undefined lets it choose. */
  readonly rank: number | undefined;
}

/** What a leg is told of the other one. */
export type KvHandover =
  /** SGLang: both legs meet in the room. */
  | { readonly kind: "room"; readonly host: string; readonly port: number; readonly room: number }
  /** vLLM: the connector's parameters as JSON. `isPrefill`: one token and no more. */
  | { readonly kind: "params"; readonly json: string; readonly isPrefill: boolean };

/** What one message of a Generate stream says of one sequence. */
export interface EngineStep {
  /** Which of the `n`. */
  readonly index: number;
  /** New tokens. */
  readonly ids: ArrayLike<number>;
  readonly logprobs: readonly TokenLogprob[] | undefined;
  readonly promptLogprobs: readonly TokenLogprob[] | undefined;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly reasoningTokens: number | undefined;
  /** On the last step: why it ended, and the stop token or string that made it. */
  readonly finish: { readonly reason: FinishReason; readonly matched: string | number | undefined } | undefined;
  /** vLLM, at the end of a prefill: what decode must be given, word for word. */
  readonly kvParams: string | undefined;
}

export interface EmbedAnswer {
  readonly values: Float32Array;
  readonly promptTokens: number;
}

/**
 * The messages of one engine. What differs between engines is said here as data and as these functions; whoever calls them
 * asks no names.
 */
export interface EngineProtocol {
  /** As in `WorkerInfo.engine`. */
  readonly name: string;
  readonly methods: { readonly generate: string; readonly embed: string; readonly abort: string };
  encodeGenerate(call: GenerateCall): Uint8Array;
  /** Undefined where the message says nothing. Throws invalid_upstream_response. */
  decodeGenerate(message: Uint8Array, isStreamed: boolean): EngineStep | undefined;
  encodeAbort(requestId: string): Uint8Array;
  encodeEmbed(requestId: string, ids: Uint32Array, text: string): Uint8Array;
  decodeEmbed(message: Uint8Array): EmbedAnswer;
}
