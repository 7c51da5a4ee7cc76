import { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../util/ascii.ts";
import type { MarkerSet } from "./marker-set.ts";
import { isSpace, type Step, type TextInput } from "./text-input.ts";

const APOSTROPHE = 0x27;

/**
 * Finds where a value ends that is nearly JSON: trailing commas, single quotes, keys without quotes. Brackets are
 * matched, those in strings not counted. A bracket that was left out ends with the one around it.
 */
class LooseExtent {
  isDone = false;
  /** The brackets that close each level. */
  readonly #closers: number[];
  /** How many of each kind stand in `closers`: what closes nothing is text, and is not looked for. */
  #braces = 0;
  #brackets = 0;
  /** The quote that opened the string that is read; 0 outside. */
  #quote = 0;
  #isEscaped = false;
  /** A string may begin here: not after a letter, where a quote is an apostrophe. */
  #mayQuote: boolean;

  constructor(closers: readonly number[], mayQuote: boolean) {
    this.#closers = [...closers];
    for (const closer of closers) this.#count(closer, 1);
    this.#mayQuote = mayQuote;
  }

  /** Reads `text` between the indexes and gives the one after the last unit that belongs to the value. */
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

  /** False where the unit belongs to what stands around the value. */
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

  /** Closes the innermost level of the kind and those within it that were not closed. */
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
 * Passes on the rest of a value that is nearly JSON, as it is: up to its end, a marker of `ends`, or the end of what
 * stands around it. `closers` are the brackets that are open already. False where its end did not come.
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
