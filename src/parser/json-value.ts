import { passLoose } from "./loose-json.ts";
import { MarkerSet } from "./marker-set.ts";
import { takeMarker, takeSpace } from "./steps.ts";
import { isSpace, type Step, type TextInput } from "./text-input.ts";
import { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../util/ascii.ts";

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
 * Finds where a JSON value ends, over chunks. Looks at its structure only: a word that is no number or an escape that is
 * none goes through as it is, for its reader to judge.
 */
class JsonExtent {
  /**
   * `control`: before a control character within a string, which JSON would have escaped; `marker`: before what may be one
   * of `ends` within a string. Set back to read on.
   */
  state: "reading" | "done" | "failed" | "control" | "marker" = "reading";
  #next: Expected = "value";
  #isKey = false;
  /** The bracket that closes each level. */
  readonly closers: number[] = [];
  readonly #ends: MarkerSet;

  constructor(ends: MarkerSet) {
    this.#ends = ends;
  }

  /** Where it failed a string might have begun. */
  get mayQuote(): boolean {
    return this.#next !== "colon" && this.#next !== "comma or end";
  }

  /** Reads `text` from `from` and gives the index after the last unit that belongs to the value. */
  read(text: string, from: number): number {
    let at = from;
    while (at < text.length && this.state === "reading") at = this.#step(text, at);
    return at;
  }

  /** The text is over: true where the value is, too. */
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
      if (unit < 0x20 || this.#ends.begins(unit)) {
        this.state = unit < 0x20 ? "control" : "marker";
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

  /** A unit outside of strings and words. False where it cannot stand here. */
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

/** Nothing ends a value but itself. */
export const NO_ENDS = new MarkerSet([]);

/**
 * Consumes a JSON value and passes it on as it comes, control characters in strings escaped. False where it is none or
 * the text ends within; what came before that has been passed on. `ends`: markers that are no part of it where they, and
 * nothing else, follow a string that was not closed. `isLoose`: a value that is nearly JSON is one, too.
 */
export function* passJson(
  input: TextInput,
  emit: (text: string) => void,
  ends = NO_ENDS,
  isLoose = false,
): Step<boolean> {
  const extent = new JsonExtent(ends);
  for (;;) {
    const end = extent.read(input.text, input.at);
    if (end > input.at) emit(input.takeTo(end));
    if (extent.state === "control") {
      emit(escaped(input.takeTo(end + 1)));
      extent.state = "reading";
    } else if (extent.state === "marker") {
      const text = yield* takeInString(input, ends);
      if (text === undefined) return false;
      emit(text);
      extent.state = "reading";
    } else {
      if (extent.state === "failed" && isLoose)
        return yield* passLoose(input, ends, extent.closers, extent.mayQuote, emit);
      if (extent.state !== "reading") return extent.state === "done";
      if (input.isEnded) return extent.canEnd;
      yield;
    }
  }
}

/** Consumes markers within a string, and the space after them, or the unit that begins none. undefined: the text ends so. */
function* takeInString(input: TextInput, ends: MarkerSet): Step<string | undefined> {
  let text = "";
  for (;;) {
    const marker = yield* takeMarker(input, ends);
    if (marker === undefined) break;
    text += marker + escaped(yield* takeSpace(input));
  }
  if (text === "") return input.takeTo(input.at + 1);
  return input.isDone ? undefined : text;
}

/** The text as it stands within a JSON string. */
function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** Passes on, as it is, the rest of a JSON value of which `seen` was consumed; as far as it is one. False where it does not end. */
export function* passRest(input: TextInput, seen: string, emit: (text: string) => void): Step<boolean> {
  const extent = new JsonExtent(NO_ENDS);
  let at = 0;
  while (at < seen.length && extent.state !== "failed" && extent.state !== "done") {
    extent.state = "reading";
    at = Math.max(extent.read(seen, at), at + 1);
  }
  while (extent.state === "reading" || extent.state === "control") {
    const isControl = extent.state === "control";
    extent.state = "reading";
    const end = isControl ? input.at + 1 : extent.read(input.text, input.at);
    if (end > input.at) emit(input.takeTo(end));
    if (input.isDone) break;
    if (extent.state === "reading" && input.at >= input.text.length) yield;
  }
  return extent.state === "done";
}

/** Consumes a JSON string and gives what it says; undefined where it is none. */
export function* takeJsonString(input: TextInput): Step<string | undefined> {
  let raw = "";
  const isWhole = yield* passJson(input, (text) => (raw += text));
  return isWhole ? jsonString(raw) : undefined;
}

/** What a JSON string literal says; undefined where the text is none. */
export function jsonString(text: string): string | undefined {
  const value = parseJson(text);
  return typeof value === "string" ? value : undefined;
}

export function isJson(text: string): boolean {
  return parseJson(text) !== undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON, or nested deeper than the parser goes: JSON has no undefined.
    return undefined;
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
