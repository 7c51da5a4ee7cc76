import type { FinishReason, GenerationRequest, Sampling, TokenLogprob } from "../protocol/generation.ts";

/** What an engine is asked for one prompt, of which it makes `n` sequences. */
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
  /** Which of the worker's data-parallel ranks generates; undefined lets the worker choose. */
  readonly rank: number | undefined;
}

/** What the worker that prefills is told of the one that decodes, and the other way round. */
export type KvHandover =
  /** SGLang: the two find each other at this address by the number of the room. */
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
  /** vLLM, at the end of a prefill: the JSON that the decode worker must be given, word for word. */
  readonly kvParams: string | undefined;
}

/** The embedding of one prompt. */
export interface EmbedAnswer {
  readonly values: Float32Array;
  readonly promptTokens: number;
}

/** `codec.ts`: what the messages of the engine's gRPC service look like, and the paths of the methods that take them. */
export interface EngineCodec {
  readonly methods: { readonly generate: string; readonly embed: string; readonly abort: string };
  encodeGenerate(call: GenerateCall): Uint8Array;
  /** Undefined where the message says nothing. Throws invalid_upstream_response. */
  decodeGenerate(message: Uint8Array, isStreamed: boolean): EngineStep | undefined;
  encodeAbort(requestId: string): Uint8Array;
  encodeEmbed(requestId: string, ids: Uint32Array, text: string): Uint8Array;
  decodeEmbed(message: Uint8Array): EmbedAnswer;
}
