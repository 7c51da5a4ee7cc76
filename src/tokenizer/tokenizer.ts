import type { AddedToken } from "./bpe/added-tokens.ts";
import type { ChatTemplates } from "./chat-templates.ts";
import type { Detokenizer, DetokenizerOptions } from "./decode/detokenizer.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import type { GenerationDefaults } from "./load/tokenizer-config.ts";

/** At once where that is cheap, else a promise: `await` takes both. */
export type MaybePromise<T> = T | Promise<T>;

export interface EncodeOptions {
  /** Whether the tokenizer's own post-processor adds its beginning and end tokens. A rendered chat template brings its own. */
  readonly addSpecialTokens: boolean;
}

export interface DecodeOptions {
  readonly skipSpecialTokens: boolean;
}

/** What encodes text: the tokenizer, or a cache before it. */
export interface Encoder {
  /** Long texts are encoded in steps where that changes nothing; with `signal` what is left of them is left when the client leaves. */
  encode(text: string, options: EncodeOptions, signal?: LeaveSignal): MaybePromise<Uint32Array>;
}

/** One model's way between text and token ids. */
export interface Tokenizer extends Encoder {
  /** Number of tokens, those added to the model's vocabulary included. Ids may be sparse and larger. */
  readonly vocabSize: number;
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  readonly bosTokenId: number | undefined;
  /** Ids that end a generation: of generation_config.json, else config.json, else the id of `eosToken`. */
  readonly eosTokenIds: readonly number[];
  /** Longest sequence that the model takes, tokens, where its files say it. */
  readonly maxTokens: number | undefined;
  /** `architectures` of config.json. */
  readonly architectures: readonly string[];
  readonly modelType: string | undefined;
  readonly chatTemplates: ChatTemplates;
  /** Sampling defaults of generation_config.json. */
  readonly generationDefaults: GenerationDefaults;
  /** Tokens beyond the model's vocabulary; the special ones among them are split off whatever text they stand in. */
  readonly addedTokens: readonly AddedToken[];
  /** What encodes: the TypeScript path that was checked against the native one, or the native one, and why. */
  readonly engine: { readonly name: "byte-level-bpe" | "native"; readonly reason: string };
  /**
   * Whether a text may be cut behind a special token and its parts encoded one by one, for the same ids. Not so where the
   * first part is treated in a way of its own.
   */
  readonly isSplitExact: boolean;

  /** Rejects with `invalid_request` where an id is no token of this tokenizer; `param` is "tokens". */
  decode(ids: ArrayLike<number>, options: DecodeOptions): MaybePromise<string>;
  /** For the ids of one generated choice. Throws `not_implemented` for decoders of models that do not generate. */
  createDetokenizer(options: DetokenizerOptions): Detokenizer;
  /** The token as the vocabulary writes it, `Ġhello`; undefined where there is none of this id. */
  tokenOf(id: number): string | undefined;
  idOf(token: string): number | undefined;
  /** What the token stands for, which need not be whole characters; empty where there is none of this id. */
  bytesOf(id: number): Uint8Array;
  isSpecial(id: number): boolean;
  isToken(id: number): boolean;
  /** No token stands for more characters. */
  readonly longestToken: number;
  /** Ends the thread behind it; encodes under way reject. */
  [Symbol.dispose](): void;
}
