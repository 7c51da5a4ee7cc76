/** What a simulated engine needs of a tokenizer. */
export interface SimTokenizer {
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
  /** The token that ends an answer. */
  readonly eosId: number;
}

const EOS_ID = 256;

/** A token is a byte of UTF-8, so characters come in halves, as from real tokenizers. */
export const BYTE_TOKENIZER: SimTokenizer = {
  encode: (text) => [...Buffer.from(text)],
  decode: (ids) => Buffer.from(ids.filter((id) => id < EOS_ID)).toString(),
  eosId: EOS_ID,
};
