import { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../util/ascii.ts";
import type { MarkerSet } from "./marker-set.ts";
import { isSpace } from "./text-input.ts";

type Expected =
  | "value"
  | "value or end"
  | "key"
  | "key or end"
  | "colon"
  | "comma or end"
  | "string"
  | "escape"
  | "word";

/**
 * Finds the end of a JSON value that arrives in chunks. It checks the structure only: wrong words and wrong escapes pass,
 * and the reader of the value judges them.
 */
export class JsonExtent {
  /**
   * `control`: a control character, which JSON would escape, is next within a string. `marker`: one of `ends` may be next
   * within a string. Set it back to `reading` to go on.
   */
  state: "reading" | "done" | "failed" | "control" | "marker" = "reading";
  #next: Expected = "value";
  #isKey = false;
  /** The closing bracket of each level. */
  readonly closers: number[] = [];
  readonly #ends: MarkerSet;

  constructor(ends: MarkerSet) {
    this.#ends = ends;
  }

  /** Whether a string could begin where reading failed. */
  get mayQuote(): boolean {
    return this.#next !== "colon" && this.#next !== "comma or end";
  }

  /** Reads `text` from index `from`. Returns the index after the last unit that belongs to the value. */
  read(text: string, from: number): number {
    let at = from;
    while (at < text.length && this.state === "reading") at = this.#step(text, at);
    return at;
  }

  /** Whether the value is complete if the text ends here. */
  get canEnd(): boolean {
    return this.#next === "word" && this.closers.length === 0;
  }

  #step(text: string, at: number): number {
    if (this.#next === "string") return this.#string(text, at);
    if (this.#next === "word") return this.#word(text, at);
    if (this.#next === "escape") {
      this.#next = "string";
      return at + 1;
    }
    const unit = text.charCodeAt(at);
    if (isSpace(unit)) return at + 1;
    if (this.#take(unit)) return at + 1;
    this.state = "failed";
    return at;
  }

  #string(text: string, from: number): number {
    const ends = this.#ends;
    let at = from;
    for (; at < text.length; at += 1) {
      const unit = text.charCodeAt(at);
      if (unit === QUOTE) {
        if (this.#isKey) this.#next = "colon";
        else this.#valueEnded();
        return at + 1;
      }
      if (unit === BACKSLASH) {
        this.#next = "escape";
        return at + 1;
      }
      if (unit < 0x20) {
        this.state = "control";
        return at;
      }
      if (ends.begins(unit) && ends.at(text, at, false) !== undefined) {
        this.state = "marker";
        return at;
      }
    }
    return at;
  }

  #word(text: string, from: number): number {
    let at = from;
    while (at < text.length && isWordUnit(text.charCodeAt(at))) at += 1;
    if (at < text.length) this.#valueEnded();
    return at;
  }

  /** Takes a unit outside of strings and words. Returns false if it cannot stand here. */
  #take(unit: number): boolean {
    switch (this.#next) {
      case "colon":
        this.#next = "value";
        return unit === COLON;
      case "comma or end":
        if (unit !== COMMA) return this.#close(unit);
        this.#next = this.closers.at(-1) === CLOSE_BRACE ? "key" : "value";
        return true;
      case "key":
      case "key or end":
        if (unit !== QUOTE) return this.#next === "key or end" && this.#close(unit);
        this.#isKey = true;
        this.#next = "string";
        return true;
      default:
        return (this.#next === "value or end" && this.#close(unit)) || this.#beginValue(unit);
    }
  }

  #beginValue(unit: number): boolean {
    if (unit === QUOTE) {
      this.#isKey = false;
      this.#next = "string";
    } else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) {
      this.closers.push(unit === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET);
      this.#next = unit === OPEN_BRACE ? "key or end" : "value or end";
    } else {
      this.#next = "word";
      return isWordUnit(unit);
    }
    return true;
  }

  #close(unit: number): boolean {
    if (this.closers.at(-1) !== unit) return false;
    this.closers.pop();
    this.#valueEnded();
    return true;
  }

  #valueEnded(): void {
    if (this.closers.length === 0) this.state = "done";
    else this.#next = "comma or end";
  }
}

function isWordUnit(unit: number): boolean {
  return (
    (unit >= 0x30 && unit <= 0x39) ||
    (unit >= 0x61 && unit <= 0x7a) ||
    (unit >= 0x41 && unit <= 0x5a) ||
    unit === 0x2d ||
    unit === 0x2b ||
    unit === 0x2e
  );
}
