import { clientClosed } from "../errors/errors.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import { nextTurn } from "../util/next-turn.ts";
import { TokenFinder } from "./bpe/added-tokens.ts";
import type { EncodeOptions, Encoder, MaybePromise, Tokenizer } from "./tokenizer.ts";

/** Shortest part, UTF-16 units: shorter ones are encoded as fast as they are looked up. */
const MIN_PART_CHARS = 256;
/** Longest part. Longer texts are documents, which come once, and not turns of a conversation. */
const MAX_PART_CHARS = 1_000_000;
/** Text that is encoded before other requests get a turn, UTF-16 units: 10 ms for unknown words. */
const STEP_CHARS = 65_536;
/** Approximate bytes of an entry, without its text and ids. */
const ENTRY_BYTES = 200;

type Source = Pick<Tokenizer, "encode" | "addedTokens" | "isSplitExact">;

interface Frame {
  /** Ids that the tokenizer puts before and after a text. */
  readonly prefix: Uint32Array;
  readonly suffix: Uint32Array;
}

/**
 * Encodes prompts with a cache of parts of earlier prompts. It cuts a prompt after special tokens, where cutting changes no
 * id, because tokenizers split those off first. Each cut depends only on the text before it, so the next turn of a conversation
 * finds all its earlier parts. At `maxBytes` the least recently used parts are dropped. The ids equal those of the tokenizer.
 */
export class PrefixCache implements Encoder {
  readonly #tokenizer: Source;
  readonly #maxBytes: number;
  readonly #finder: TokenFinder;
  /** Tokens after which a text may be cut, because they do not absorb following text. */
  readonly #cuts: ReadonlySet<number>;
  readonly #parts = new Map<string, Uint32Array>();
  #frame: Frame | undefined;
  #bytes = 0;

  constructor(tokenizer: Source, maxBytes: number) {
    this.#tokenizer = tokenizer;
    this.#maxBytes = maxBytes;
    const raw = tokenizer.isSplitExact ? tokenizer.addedTokens.filter((token) => !token.isNormalized) : [];
    this.#finder = new TokenFinder(raw);
    this.#cuts = new Set(raw.filter((token) => token.isSpecial && !token.stripsRight).map((token) => token.id));
  }

  /** Approximate memory in use, bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  encode(text: string, options: EncodeOptions, signal?: LeaveSignal): MaybePromise<Uint32Array> {
    if (text.length < MIN_PART_CHARS) return this.#tokenizer.encode(text, options);
    const split = this.#split(text.toWellFormed());
    if (text.length > STEP_CHARS) return this.#encodeInSteps(split, options, signal);
    const parts = split.map((part) => this.#encodePart(part));
    if (!options.addSpecialTokens && parts.every((ids) => ids instanceof Uint32Array)) return concat(parts);
    return this.#finish(parts, options);
  }

  /** Encodes in steps. Other requests run between the parts, and it stops when the client leaves. */
  async #encodeInSteps(
    parts: readonly string[],
    options: EncodeOptions,
    signal: LeaveSignal | undefined,
  ): Promise<Uint32Array> {
    const encoded: Uint32Array[] = [];
    let chars = 0;
    for (const part of parts) {
      if (signal?.aborted === true) throw clientClosed(signal.reason);
      const ids = this.#encodePart(part);
      encoded.push(ids instanceof Uint32Array ? ids : await ids);
      chars += part.length;
      if (chars < STEP_CHARS) continue;
      chars = 0;
      await nextTurn();
    }
    return this.#finish(encoded, options);
  }

  async #finish(parts: readonly MaybePromise<Uint32Array>[], options: EncodeOptions): Promise<Uint32Array> {
    const ids = await Promise.all(parts.map((ids) => Promise.resolve(ids)));
    if (!options.addSpecialTokens) return concat(ids);
    const { prefix, suffix } = (this.#frame ??= await this.#findFrame());
    return concat([prefix, ...ids, suffix]);
  }

  #split(text: string): string[] {
    const parts: string[] = [];
    let from = 0;
    for (let at = 0; this.#finder.next(text, at); at = this.#finder.end) {
      const { end, id } = this.#finder;
      if (end - from < MIN_PART_CHARS || !this.#cuts.has(id)) continue;
      parts.push(text.slice(from, end));
      from = end;
    }
    if (from < text.length) parts.push(from === 0 ? text : text.slice(from));
    return parts;
  }

  #encodePart(part: string): MaybePromise<Uint32Array> {
    const known = this.#parts.get(part);
    if (known) {
      this.#parts.delete(part);
      this.#parts.set(part, known);
      return known;
    }
    const ids = this.#tokenizer.encode(part, { addSpecialTokens: false });
    if (ids instanceof Uint32Array) return this.#remember(part, ids);
    return ids.then((ids) => this.#remember(part, ids));
  }

  #remember(part: string, ids: Uint32Array): Uint32Array {
    if (part.length > MAX_PART_CHARS || this.#parts.has(part)) return ids;
    // Copied, because a substring of a prompt would keep the whole prompt in memory.
    this.#parts.set(Buffer.from(part, "utf16le").toString("utf16le"), ids);
    this.#bytes += sizeOf(part, ids);
    for (const [oldest, itsIds] of this.#parts) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#parts.delete(oldest);
      this.#bytes -= sizeOf(oldest, itsIds);
    }
    return ids;
  }

  /** Finds the ids that stand around a text when special tokens are added. */
  async #findFrame(): Promise<Frame> {
    const bare = await this.#tokenizer.encode("a", { addSpecialTokens: false });
    const framed = await this.#tokenizer.encode("a", { addSpecialTokens: true });
    for (let at = 0; at + bare.length <= framed.length; at += 1) {
      if (bare.every((id, index) => framed[at + index] === id)) {
        return { prefix: framed.slice(0, at), suffix: framed.slice(at + bare.length) };
      }
    }
    return { prefix: new Uint32Array(0), suffix: new Uint32Array(0) };
  }
}

function sizeOf(part: string, ids: Uint32Array): number {
  return part.length * 2 + ids.byteLength + ENTRY_BYTES;
}

function concat(parts: readonly Uint32Array[]): Uint32Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint32Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
