import { GatewayError } from "../../errors/errors.ts";
import type { AddedToken } from "../bpe/added-tokens.ts";
import { ByteLevelBpe, MAX_SYNC_CHARS } from "../bpe/byte-level-bpe.ts";
import type { ChatTemplates } from "../chat-templates.ts";
import { Detokenizer, TokenPieces, type DetokenizerOptions } from "../decode/detokenizer.ts";
import { hasNewerCharacters } from "../bpe/newer-characters.ts";
import type { DecodeOptions, EncodeOptions, MaybePromise, Tokenizer } from "../tokenizer.ts";
import type { GenerationDefaults, TokenizerConfig } from "./tokenizer-config.ts";
import type { ThreadTables, TokenizerThread } from "./tokenizer-thread.ts";
import { Vocabulary } from "../bpe/vocabulary.ts";

/** The native tokenizer on its own thread. */
type NativeThread = Pick<TokenizerThread, "encode" | "decode" | typeof Symbol.dispose>;

interface Parts {
  readonly config: TokenizerConfig;
  readonly chatTemplates: ChatTemplates;
  readonly tables: ThreadTables;
  readonly thread: NativeThread;
}

/** A loaded tokenizer. TypeScript does the work here where it is exact and fast; the native tokenizer's thread does the rest. */
export class ModelTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly longestToken: number;
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  readonly bosTokenId: number | undefined;
  readonly eosTokenIds: readonly number[];
  readonly maxTokens: number | undefined;
  readonly architectures: readonly string[];
  readonly modelType: string | undefined;
  readonly chatTemplates: ChatTemplates;
  readonly generationDefaults: GenerationDefaults;
  readonly addedTokens: readonly AddedToken[];
  readonly engine: Tokenizer["engine"];
  readonly isSplitExact: boolean;
  readonly #vocabulary: Vocabulary;
  readonly #special: ReadonlySet<number>;
  readonly #pieces: TokenPieces | undefined;
  readonly #bpe: ByteLevelBpe | undefined;
  readonly #thread: NativeThread;

  constructor({ config, chatTemplates, tables, thread }: Parts) {
    this.#vocabulary = new Vocabulary(tables.vocabulary);
    this.#special = new Set(tables.added.filter((token) => token.isSpecial).map((token) => token.id));
    this.#pieces = tables.decoder && new TokenPieces(this.#vocabulary, tables.decoder, this.#special);
    this.#bpe = tables.bpe.ok ? new ByteLevelBpe(tables.bpe.plan, this.#vocabulary, tables.added) : undefined;
    this.#thread = thread;
    this.engine = tables.bpe.ok
      ? { name: "byte-level-bpe", reason: "equal to the native tokenizer on the self-check" }
      : { name: "native", reason: tables.bpe.reason };
    this.vocabSize = this.#vocabulary.size;
    this.longestToken = this.#vocabulary.longestToken;
    this.addedTokens = tables.added;
    this.isSplitExact = tables.isSplitExact;
    this.chatTemplates = chatTemplates;
    this.bosToken = config.namedTokens["bos_token"];
    this.eosToken = config.namedTokens["eos_token"];
    this.bosTokenId = this.bosToken === undefined ? undefined : this.idOf(this.bosToken);
    const eosId = this.eosToken === undefined ? undefined : this.idOf(this.eosToken);
    this.eosTokenIds = config.eosTokenIds.length > 0 || eosId === undefined ? config.eosTokenIds : [eosId];
    this.maxTokens = config.maxTokens;
    this.architectures = config.architectures;
    this.modelType = config.modelType;
    this.generationDefaults = config.generationDefaults;
  }

  encode(text: string, { addSpecialTokens }: EncodeOptions): MaybePromise<Uint32Array> {
    return this.#bpe && text.length <= MAX_SYNC_CHARS && !hasNewerCharacters(text)
      ? this.#bpe.encode(text, addSpecialTokens)
      : this.#thread.encode(text, addSpecialTokens);
  }

  decode(ids: ArrayLike<number>, { skipSpecialTokens }: DecodeOptions): MaybePromise<string> {
    for (let index = 0; index < ids.length; index += 1) {
      const id = ids[index] ?? -1;
      if (!this.#vocabulary.has(id)) {
        return Promise.reject(
          new GatewayError("invalid_request", `tokens[${index}] is ${id}, which is no token of this model`, {
            param: "tokens",
          }),
        );
      }
    }
    if (!this.#pieces) return this.#thread.decode(Array.from(ids), skipSpecialTokens);
    const detokenizer = new Detokenizer(this.#pieces, { skipSpecialTokens, isWholeText: true });
    return detokenizer.push(ids) + detokenizer.flush();
  }

  createDetokenizer(options: DetokenizerOptions): Detokenizer {
    if (this.#pieces) return new Detokenizer(this.#pieces, options);
    throw new GatewayError("not_implemented", "tokens of this model cannot be decoded one by one");
  }

  tokenOf(id: number): string | undefined {
    return this.#vocabulary.tokenOf(id);
  }

  idOf(token: string): number | undefined {
    return this.#vocabulary.idOf(token);
  }

  bytesOf(id: number): Uint8Array {
    const piece = this.#pieces ? this.#pieces.at(id) : (this.#vocabulary.tokenOf(id) ?? "");
    return typeof piece === "string" ? Buffer.from(piece) : piece;
  }

  isToken(id: number): boolean {
    return this.#vocabulary.has(id);
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  [Symbol.dispose](): void {
    this.#thread[Symbol.dispose]();
  }
}
