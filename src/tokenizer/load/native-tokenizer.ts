import { Tokenizer as Native } from "tokenizers";

/**
 * The `tokenizers` package: exact for every model. `create` blocks its thread (75 ms for llama 2, 1.2 s for gemma 3); encoding
 * and decoding run on the pool of the runtime. It cannot cross threads.
 */
export class NativeTokenizer {
  readonly #native: Native;

  private constructor(native: Native) {
    this.#native = native;
  }

  /** `json` is the text of tokenizer.json. Throws what the package says of it. */
  static create(json: string): NativeTokenizer {
    const native = Native.fromString(json);
    // What files say of padding and cutting is about training.
    native.disableTruncation();
    native.disablePadding();
    return new NativeTokenizer(native);
  }

  async encode(text: string, addSpecialTokens: boolean): Promise<Uint32Array> {
    const encoding = await this.#native.encode(text.toWellFormed(), null, { addSpecialTokens });
    return Uint32Array.from(encoding.getIds());
  }

  decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string> {
    return this.#native.decode([...ids], skipSpecialTokens);
  }

  /** Every token with its id, added ones too; blocks for 35 to 350 ms. */
  tokens(): Readonly<Record<string, number>> {
    return this.#native.getVocab(true);
  }
}
