import { Tokenizer as Native } from "tokenizers";

/**
 * The `tokenizers` package, which is exact for every model. `create` blocks its thread (75 ms for llama 2, 1.2 s for gemma 3);
 * encoding and decoding run on the runtime's pool. It cannot be sent to other threads.
 */
export class NativeTokenizer {
  readonly #native: Native;

  private constructor(native: Native) {
    this.#native = native;
  }

  /** `json` is the text of tokenizer.json. Throws the package's error. */
  static create(json: string): NativeTokenizer {
    const native = Native.fromString(json);
    // Padding and truncation in the files are settings of the training.
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

  /** All tokens with their ids, including added ones. Blocks for 35 to 350 ms. */
  tokens(): Readonly<Record<string, number>> {
    return this.#native.getVocab(true);
  }
}
