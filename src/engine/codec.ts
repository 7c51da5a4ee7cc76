import type { FinishReason, GenerationRequest, Sampling, TokenLogprob } from "../protocol/generation.ts";

/** A request to an engine: one prompt, for `n` sequences. */
export interface GenerateCall {
  readonly requestId: string;
  readonly ids: Uint32Array;
  /** The prompt's text, if it was a text; SGLang logs it. */
  readonly text: string;
  readonly request: GenerationRequest;
  /** Sampling parameters, with the model's defaults. */
  readonly sampling: Sampling;
  /** Whether the engine answers token by token; otherwise it answers once for each sequence. */
  readonly isStreamed: boolean;
  readonly kv: KvHandover | undefined;
  /** Which of the worker's data-parallel ranks generates; undefined lets the worker choose. */
  readonly rank: number | undefined;
}

/** What the two workers of a pair get to find each other. */
export type KvHandover =
  /** SGLang: the two find each other at this address by the number of the room. */
  | { readonly kind: "room"; readonly host: string; readonly port: number; readonly room: number }
  /** vLLM: the connector's parameters as JSON. `isPrefill`: one token and no more. */
  | { readonly kind: "params"; readonly json: string; readonly isPrefill: boolean };

/** The content of one message of a Generate stream, for one sequence. */
export interface EngineStep {
  /** Index of the sequence. */
  readonly index: number;
  /** New tokens. */
  readonly ids: ArrayLike<number>;
  readonly logprobs: readonly TokenLogprob[] | undefined;
  readonly promptLogprobs: readonly TokenLogprob[] | undefined;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly reasoningTokens: number | undefined;
  /** On the last step: the finish reason, and the stop token or string that matched. */
  readonly finish: { readonly reason: FinishReason; readonly matched: string | number | undefined } | undefined;
  /** vLLM, at the end of a prefill: JSON for the decode worker, unchanged. */
  readonly kvParams: string | undefined;
}

/** The embedding of one prompt. */
export interface EmbedAnswer {
  readonly values: Float32Array;
  readonly promptTokens: number;
}

/** `loraId`: the adapter. `logitBias`: what makes tokens more or less likely. */
export type LackedMember = "loraId" | "logitBias";

/** `codec.ts`: the messages of the engine's gRPC service, and the paths of its methods. */
export interface EngineCodec {
  /** Members of a request on which the answer depends, and for which the engine's messages have no place. */
  readonly lacks: readonly LackedMember[];
  readonly methods: { readonly generate: string; readonly embed: string; readonly abort: string };
  encodeGenerate(call: GenerateCall): Uint8Array;
  /** undefined for a message without content. Throws invalid_upstream_response. */
  decodeGenerate(message: Uint8Array, isStreamed: boolean): EngineStep | undefined;
  encodeAbort(requestId: string): Uint8Array;
  encodeEmbed(requestId: string, ids: Uint32Array, text: string): Uint8Array;
  decodeEmbed(message: Uint8Array): EmbedAnswer;
}
