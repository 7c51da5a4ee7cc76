import { seededRandom } from "../../src/simulate/seeded-random.ts";
import { BYTES_PER_TOKEN } from "./block-ids.ts";

/** Tokens that are made at once. */
const PIECE_TOKENS = 256;
const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** A text without end, of words of three letters: one token each. Texts of the same seed are equal. */
export class Filler {
  readonly #random: () => number;
  #text = "";

  constructor(seed: number) {
    this.#random = seededRandom(seed, 77);
  }

  /** The tokens from one place to another, the last excluded. */
  tokens(from: number, to: number): string {
    while (this.#text.length < to * BYTES_PER_TOKEN) this.#text += this.#piece();
    return this.#text.slice(from * BYTES_PER_TOKEN, to * BYTES_PER_TOKEN);
  }

  #piece(): string {
    let piece = "";
    for (let token = 0; token < PIECE_TOKENS; token += 1)
      piece += `${this.#letter()}${this.#letter()}${this.#letter()} `;
    return piece;
  }

  #letter(): string {
    return LETTERS.charAt(Math.floor(this.#random() * LETTERS.length));
  }
}
