import { bytesOfToken } from "../bpe/byte-alphabet.ts";
import type { DecoderPlan } from "./decoder-plan.ts";
import type { Vocabulary } from "../bpe/vocabulary.ts";

export interface DetokenizerOptions {
  readonly skipSpecialTokens: boolean;
  /**
   * Whether the ids are a whole text, or follow a prompt (the default). Some tokenizers add a space at the beginning of a
   * whole text; after a prompt a space belongs to the text.
   */
  readonly isWholeText?: boolean;
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const NONE = new Uint8Array(0);

/** The text of an id; its bytes, where they are parts of characters that neighbours complete. */
type Piece = string | Uint8Array;

/** The pieces of one tokenizer's ids. Each is made at its first use, and all detokenizers share them. */
export class TokenPieces {
  readonly #vocabulary: Vocabulary;
  readonly #plan: DecoderPlan;
  readonly #special: ReadonlySet<number>;
  readonly #pieces: (Piece | undefined)[];

  constructor(vocabulary: Vocabulary, plan: DecoderPlan, special: ReadonlySet<number>) {
    this.#vocabulary = vocabulary;
    this.#plan = plan;
    this.#special = special;
    this.#pieces = Array<Piece | undefined>(vocabulary.idBound).fill(undefined);
  }

  /** Most spaces that are removed from the beginning of a whole text. */
  get stripsAtStart(): number {
    return this.#plan.kind === "pieces" ? this.#plan.stripsAtStart : 0;
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  /** The piece of an id; empty for ids that the tokenizer does not have. Engines pad vocabularies, and a model may generate a padding id. */
  at(id: number): Piece {
    const known = this.#pieces[id];
    if (known !== undefined) return known;
    const token = this.#vocabulary.tokenOf(id);
    if (token === undefined) return "";
    const made = this.#make(token);
    this.#pieces[id] = made;
    return made;
  }

  #make(token: string): Piece {
    if (this.#plan.kind === "byte-level") {
      const bytes = bytesOfToken(token);
      return bytes ? wholeText(bytes) : token;
    }
    const byte = this.#plan.hasByteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined;
    if (byte !== undefined) return wholeText(Uint8Array.of(Number.parseInt(byte, 16)));
    let text = token;
    for (const { from, to } of this.#plan.replacements) text = text.replaceAll(from, to);
    return text;
  }
}

/** Text, if the bytes are whole characters; otherwise the bytes. */
function wholeText(bytes: Uint8Array): Piece {
  const text = utf8.decode(bytes);
  return text.includes("\ufffd") ? bytes : text;
}

/** Number of bytes at the end that begin an incomplete character: 0 to 3. */
function incompleteAtEnd(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const lead = bytes[bytes.length - back] ?? 0;
    if ((lead & 0xc0) === 0x80) continue;
    const needed = lead >= 0xf5 || lead < 0xc2 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    return needed > back && isPossible(lead, back > 1 ? bytes[bytes.length - back + 1] : undefined) ? back : 0;
  }
  return 0;
}

/** Whether a lead byte and the next byte are possible in UTF-8. Overlong forms, surrogates and code points beyond U+10FFFF are not. */
function isPossible(lead: number, second: number | undefined): boolean {
  if (second === undefined) return true;
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second < 0xa0;
  if (lead === 0xf0) return second >= 0x90;
  return lead !== 0xf4 || second < 0x90;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/**
 * Turns the ids of one choice into text while they arrive. It never cuts a character: it holds back bytes that may still be
 * completed. The joined parts equal the text of all ids decoded at once, with one exception. Where a byte-fallback model
 * generates bytes that are not UTF-8, each broken sequence becomes one U+FFFD here; the native decoder sees the end and writes
 * one for each byte. Ids that the tokenizer does not have are skipped.
 */
export class Detokenizer {
  readonly #pieces: TokenPieces;
  readonly #skipsSpecial: boolean;
  #toStrip: number;
  #held = NONE;

  constructor(pieces: TokenPieces, options: DetokenizerOptions) {
    this.#pieces = pieces;
    this.#skipsSpecial = options.skipSpecialTokens;
    this.#toStrip = options.isWholeText === true ? pieces.stripsAtStart : 0;
  }

  /** The text that is complete with these ids; empty while a character is incomplete. */
  push(ids: ArrayLike<number>): string {
    let text = "";
    for (let index = 0; index < ids.length; index += 1) {
      const id = ids[index] ?? -1;
      if (this.#skipsSpecial && this.#pieces.isSpecial(id)) continue;
      const piece = this.#pieces.at(id);
      if (typeof piece !== "string") text += this.#take(piece);
      else if (this.#held.length === 0) text += piece;
      else if (piece !== "") text += this.flush() + piece;
    }
    return this.#toStrip === 0 || text === "" ? text : this.#strip(text);
  }

  /** Ends the text. Bytes that were held back become U+FFFD. */
  flush(): string {
    if (this.#held.length === 0) return "";
    const text = utf8.decode(this.#held);
    this.#held = NONE;
    return text;
  }

  #take(bytes: Uint8Array): string {
    const all = joined(this.#held, bytes);
    const incomplete = incompleteAtEnd(all);
    this.#held = incomplete === 0 ? NONE : all.slice(all.length - incomplete);
    return utf8.decode(all.subarray(0, all.length - incomplete));
  }

  #strip(text: string): string {
    let from = 0;
    while (from < this.#toStrip && text.charCodeAt(from) === 32) from += 1;
    // Only spaces at the beginning count. Once another character has come, nothing more is removed.
    this.#toStrip = from === text.length ? this.#toStrip - from : 0;
    return text.slice(from);
  }
}
