import { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../util/ascii.ts";
import type { MarkerSet } from "./marker-set.ts";
import { isSpace, type Step, type TextInput } from "./text-input.ts";

const APOSTROPHE = 0x27;

/**
 * Finds the end of a value that is nearly JSON: trailing commas, single quotes, keys without quotes. It matches brackets
 * outside of strings. A bracket without its closing one ends with the bracket around it.
 */
class LooseExtent {
  isDone = false;
  /** The closing bracket of each level. */
  readonly #closers: number[];
  /** How many of each kind are in `closers`. A closing bracket without an open one is text. */
  #braces = 0;
  #brackets = 0;
  /** The quote that opened the current string; 0 outside of strings. */
  #quote = 0;
  #isEscaped = false;
  /** Whether a string may begin here. After a letter a quote is an apostrophe. */
  #mayQuote: boolean;

  constructor(closers: readonly number[], mayQuote: boolean) {
    this.#closers = [...closers];
    for (const closer of closers) this.#count(closer, 1);
    this.#mayQuote = mayQuote;
  }

  /** Reads `text` between two indexes. Returns the index after the last unit that belongs to the value. */
  read(text: string, from: number, to: number): number {
    let at = from;
    while (at < to && !this.isDone) {
      const unit = text.charCodeAt(at);
      if (this.#quote !== 0) this.#inString(unit);
      else if (!this.#outside(unit)) return at;
      at += 1;
    }
    return at;
  }

  #inString(unit: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (unit === BACKSLASH) this.#isEscaped = true;
    else if (unit === this.#quote) this.#quote = 0;
  }

  /** Takes a unit outside of strings. Returns false if it belongs to the text around the value. */
  #outside(unit: number): boolean {
    if (isSpace(unit)) return true;
    const mayQuote = this.#mayQuote;
    this.#mayQuote = unit === OPEN_BRACE || unit === OPEN_BRACKET || unit === COLON || unit === COMMA;
    if (mayQuote && (unit === QUOTE || unit === APOSTROPHE)) this.#quote = unit;
    else if (unit === OPEN_BRACE) this.#open(CLOSE_BRACE);
    else if (unit === OPEN_BRACKET) this.#open(CLOSE_BRACKET);
    else if (this.#closers.length > 0) this.#close(unit);
    else if (unit === COMMA || unit === CLOSE_BRACE || unit === CLOSE_BRACKET) return !(this.isDone = true);
    return true;
  }

  #open(closer: number): void {
    this.#closers.push(closer);
    this.#count(closer, 1);
  }

  /** Closes the innermost open level of this kind, and the levels inside of it. */
  #close(unit: number): void {
    if ((unit === CLOSE_BRACE ? this.#braces : unit === CLOSE_BRACKET ? this.#brackets : 0) === 0) return;
    for (let closer = 0; closer !== unit;) {
      closer = this.#closers.pop() ?? unit;
      this.#count(closer, -1);
    }
    this.isDone = this.#closers.length === 0;
  }

  #count(closer: number, by: number): void {
    if (closer === CLOSE_BRACE) this.#braces += by;
    else this.#brackets += by;
  }
}

/**
 * Passes on, unchanged, the rest of a value that is nearly JSON: up to its end, a marker of `ends`, or the end of the
 * brackets around it. `closers` are the closing brackets of levels that are already open. Returns false if the value did not end.
 */
export function* passLoose(
  input: TextInput,
  ends: MarkerSet,
  closers: readonly number[],
  mayQuote: boolean,
  emit: (text: string) => void,
): Step<boolean> {
  const extent = new LooseExtent(closers, mayQuote);
  for (;;) {
    const limit = input.textEnd(ends);
    const end = extent.read(input.text, input.at, limit);
    if (end > input.at) emit(input.takeTo(end));
    if (extent.isDone) return true;
    const marker = ends.at(input.text, input.at, input.isEnded);
    if (input.isDone || (marker !== undefined && marker !== "")) return false;
    yield;
  }
}
