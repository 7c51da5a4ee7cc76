import type { AddedToken } from "./bpe/added-tokens.ts";
import type { ChatTemplates } from "./chat-templates.ts";
import type { Detokenizer, DetokenizerOptions } from "./decode/detokenizer.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import type { GenerationDefaults } from "./load/tokenizer-config.ts";

/** A value where it is cheap to have at once, otherwise a promise. `await` takes both. */
export type MaybePromise<T> = T | Promise<T>;

export interface EncodeOptions {
  /** Whether the tokenizer's own post-processor adds its beginning and end tokens. A rendered chat template brings its own. */
  readonly addSpecialTokens: boolean;
}

export interface DecodeOptions {
  readonly skipSpecialTokens: boolean;
}

/** Encodes text: a tokenizer, or a cache in front of it. */
export interface Encoder {
  /** Encodes a long text in steps, where that changes no id. With `signal` it stops when the client leaves. */
  encode(text: string, options: EncodeOptions, signal?: LeaveSignal): MaybePromise<Uint32Array>;
}

/** Turns text of one model into token ids, and ids into text. */
export interface Tokenizer extends Encoder {
  /** Number of tokens, including added ones. Ids may be sparse, and larger than this. */
  readonly vocabSize: number;
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  readonly bosTokenId: number | undefined;
  /** Ids that end a generation: from generation_config.json, otherwise config.json, otherwise the id of `eosToken`. */
  readonly eosTokenIds: readonly number[];
  /** Longest sequence of the model, tokens; undefined where its files do not say. */
  readonly maxTokens: number | undefined;
  /** `architectures` of config.json. */
  readonly architectures: readonly string[];
  readonly modelType: string | undefined;
  readonly chatTemplates: ChatTemplates;
  /** Sampling defaults of generation_config.json. */
  readonly generationDefaults: GenerationDefaults;
  /** Tokens outside of the model's vocabulary. Special ones are split off from any text around them. */
  readonly addedTokens: readonly AddedToken[];
  /** Which engine encodes, and why: the TypeScript one, which was checked against the native one, or the native one. */
  readonly engine: { readonly name: "byte-level-bpe" | "native"; readonly reason: string };
  /**
   * Whether a text may be cut after a special token, and its parts encoded one by one, with the same ids. Not for tokenizers
   * that treat the first part of a text in a special way.
   */
  readonly isSplitExact: boolean;

  /** Rejects with `invalid_request` (param "tokens") for an id that the tokenizer does not have. */
  decode(ids: ArrayLike<number>, options: DecodeOptions): MaybePromise<string>;
  /** Makes a detokenizer for the ids of one choice. Throws `not_implemented` for decoders of models that do not generate. */
  createDetokenizer(options: DetokenizerOptions): Detokenizer;
  /** The token as the vocabulary writes it, for example `Ġhello`; undefined for unknown ids. */
  tokenOf(id: number): string | undefined;
  idOf(token: string): number | undefined;
  /** The token's bytes in UTF-8, which may be parts of characters; empty for unknown ids. */
  bytesOf(id: number): Uint8Array;
  isSpecial(id: number): boolean;
  isToken(id: number): boolean;
  /** Characters of the longest token, or more. */
  readonly longestToken: number;
  /** Ends the thread of the native tokenizer. Calls of `encode` that have not ended reject. */
  [Symbol.dispose](): void;
}
