import { TokenFinder, type AddedToken } from "./added-tokens.ts";
import type { BpePlan } from "./bpe-plan.ts";
import { BpeMerger } from "./bpe-merger.ts";
import { CHAR_OF_BYTE } from "./byte-alphabet.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { WordCache } from "./word-cache.ts";

/**
 * Longest text that is encoded here, UTF-16 units: 16,000 tokens of English, in 2 ms when its words are known. A single word of
 * random letters takes 30 ms. Longer texts go to the native tokenizer, whose thread delays no other request.
 */
export const MAX_SYNC_CHARS = 65_536;
/** Longest word in the cache. Longer ones are rarely real words, and would fill it. */
const MAX_CACHED_CHARS = 64;

const utf8 = new TextEncoder();
const SPACE_BEHIND = /[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*/y;
const SPACE = /[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/**
 * Byte-level BPE in TypeScript: text -> added tokens -> normal form -> words by regular expression -> merges. Synchronous, with
 * a bounded cache of words. Not reentrant. Before it is used for a model, a self-check compares it with the native tokenizer.
 */
export class ByteLevelBpe {
  readonly #plan: BpePlan;
  readonly #vocabulary: Vocabulary;
  readonly #patterns: readonly RegExp[];
  readonly #byId: ReadonlyMap<number, AddedToken>;
  /** Finders of the tokens in the original text, and of those in the normalised text. */
  readonly #raw: TokenFinder;
  readonly #normalized: TokenFinder;
  readonly #merger: BpeMerger;
  readonly #cache = new WordCache();
  #out = new Uint32Array(4096);
  #count = 0;
  #bytes = new Uint8Array(1024);
  #token = new Uint8Array(2048);

  constructor(plan: BpePlan, vocabulary: Vocabulary, added: readonly AddedToken[]) {
    this.#plan = plan;
    this.#vocabulary = vocabulary;
    this.#patterns = plan.patterns.map((source) => new RegExp(source, "gu"));
    this.#merger = new BpeMerger(plan.merges);
    this.#byId = new Map(added.map((token) => [token.id, token]));
    this.#raw = new TokenFinder(added.filter((token) => !token.isNormalized));
    this.#normalized = new TokenFinder(
      added
        .filter((token) => token.isNormalized)
        .map((token) => ({ ...token, content: this.#normalize(token.content) })),
    );
  }

  /** `text` is at most MAX_SYNC_CHARS long. Lone surrogates count as U+FFFD. */
  encode(text: string, addSpecialTokens: boolean): Uint32Array {
    this.#count = 0;
    if (addSpecialTokens) for (const id of this.#plan.prefix) this.#emit(id);
    this.#split(this.#raw, text.toWellFormed(), (part) => {
      this.#split(this.#normalized, this.#normalize(part), (piece) => this.#encodeWords(piece, 0));
    });
    if (addSpecialTokens) for (const id of this.#plan.suffix) this.#emit(id);
    return this.#out.slice(0, this.#count);
  }

  #normalize(text: string): string {
    let normal = text;
    for (const form of this.#plan.forms) normal = normal.normalize(form);
    return normal;
  }

  #emit(id: number): void {
    if (this.#count === this.#out.length) this.#grow(1);
    this.#out[this.#count++] = id;
  }

  #grow(more: number): void {
    const larger = new Uint32Array(2 ** Math.ceil(Math.log2(this.#out.length + more + 1)));
    larger.set(this.#out);
    this.#out = larger;
  }

  /** Emits the ids of added tokens in the text, and calls `onText` for the text between them. */
  #split(finder: TokenFinder, text: string, onText: (part: string) => void): void {
    let from = 0;
    for (let at = 0; finder.next(text, at);) {
      let { start, end } = finder;
      const { id } = finder;
      const token = this.#byId.get(id);
      at = end;
      if (token?.stripsLeft) start = beforeSpace(text, from, start);
      if (token?.stripsRight) {
        SPACE_BEHIND.lastIndex = end;
        end += SPACE_BEHIND.exec(text)?.[0].length ?? 0;
      }
      if (start > from) onText(text.slice(from, start));
      this.#emit(id);
      from = Math.max(from, end);
    }
    if (from < text.length) onText(from === 0 ? text : text.slice(from));
  }

  #encodeWords(text: string, step: number): void {
    const pattern = this.#patterns[step];
    if (!pattern) return this.#encodeWord(text);
    const words = text.match(pattern);
    if (!words) return this.#encodeWords(text, step + 1);
    let covered = 0;
    for (const word of words) covered += word.length;
    if (covered < text.length) return this.#encodeBetween(text, pattern, step);
    if (step < this.#patterns.length - 1) for (const word of words) this.#encodeWords(word, step + 1);
    else for (const word of words) this.#encodeWord(word);
  }

  /** Encodes the matches of a pattern that does not cover the text; the text between two matches is a word too. */
  #encodeBetween(text: string, pattern: RegExp, step: number): void {
    let from = 0;
    for (const match of text.matchAll(pattern)) {
      if (match.index > from) this.#encodeWords(text.slice(from, match.index), step + 1);
      this.#encodeWords(match[0], step + 1);
      from = match.index + match[0].length;
    }
    if (from < text.length) this.#encodeWords(text.slice(from), step + 1);
  }

  #encodeWord(word: string): void {
    const known = this.#cache.get(word);
    if (typeof known === "number") return this.#emit(known);
    if (known) {
      for (const id of known) this.#emit(id);
      return;
    }
    const from = this.#count;
    this.#merge(word);
    if (word.length > MAX_CACHED_CHARS) return;
    this.#cache.set(word, this.#count === from + 1 ? (this.#out[from] ?? 0) : this.#out.slice(from, this.#count));
  }

  #merge(word: string): void {
    if (this.#bytes.length < word.length * 3) {
      this.#bytes = new Uint8Array(word.length * 3);
      this.#token = new Uint8Array(word.length * 6);
    }
    const length = utf8.encodeInto(word, this.#bytes).written;
    const whole = this.#plan.ignoresMerges ? this.#wholeWord(length) : undefined;
    if (whole !== undefined) return this.#emit(whole);
    if (this.#count + length > this.#out.length) this.#grow(length);
    this.#count += this.#merger.merge(this.#bytes, length, this.#out, this.#count);
  }

  /** The id of the whole word, if it is a token. */
  #wholeWord(length: number): number | undefined {
    let at = 0;
    for (let index = 0; index < length; index += 1) {
      const char = CHAR_OF_BYTE[this.#bytes[index] ?? 0] ?? 0;
      if (char < 128) this.#token[at++] = char;
      else {
        this.#token[at++] = 0xc0 | (char >> 6);
        this.#token[at++] = 0x80 | (char & 63);
      }
    }
    return this.#vocabulary.find(this.#token, at);
  }
}

/** Index where the white space before `end` begins. It looks backwards, at each character once. */
function beforeSpace(text: string, from: number, end: number): number {
  let start = end;
  while (start > from && SPACE.test(text.charAt(start - 1))) start -= 1;
  return start;
}
