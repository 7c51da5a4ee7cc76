import { argumentJson } from "./argument-value.ts";
import type { ArgumentSchema } from "./argument-schema.ts";
import type { ArgumentsObject } from "./arguments-object.ts";

/** Takes the text of one value and writes its JSON. */
export interface ValueSink {
  text(text: string): void;
  /** Ends the value. `isUnclosed`: its closing tag is missing, so the line break at its end stood before the next tag. */
  end(isUnclosed: boolean): void;
  /** The answer ended within the value: writes the part that arrived, and leaves a string open. */
  cut(): void;
}

/**
 * Line breaks right after the opening tag and right before the closing one. `kept`: they are part of the value; `trimmed`:
 * part of the format; `trimmed in pairs`: part of the format where both are there.
 */
export type LineBreaks = "kept" | "trimmed" | "trimmed in pairs";

/** Makes a sink for an argument. An argument that can only be a string is written while it arrives. */
export function createValueSink(object: ArgumentsObject, schema: ArgumentSchema, breaks: LineBreaks): ValueSink {
  const { types } = schema;
  if (types.size === 1 && types.has("string")) return new StringSink(object, breaks);
  return new WholeSink(object, (text) => argumentJson(text, schema), breaks);
}

/** Writes a value when it is complete. */
export class WholeSink implements ValueSink {
  readonly #object: ArgumentsObject;
  readonly #toJson: (text: string) => string;
  readonly #breaks: LineBreaks;
  #text = "";

  constructor(object: ArgumentsObject, toJson: (text: string) => string, breaks: LineBreaks) {
    this.#object = object;
    this.#toJson = toJson;
    this.#breaks = breaks;
  }

  text(text: string): void {
    this.#text += text;
  }

  end(isUnclosed: boolean): void {
    const from = this.#breaks === "kept" ? 0 : firstBreak(this.#text);
    const inner = this.#text.slice(from);
    this.#object.value(this.#toJson(inner.slice(0, endOf(inner, this.#breaks, from > 0, isUnclosed))));
  }

  cut(): void {
    if (this.#text !== "") this.end(false);
  }
}

/** Writes a string while it arrives, except for the characters that only its end decides. */
export class StringSink implements ValueSink {
  readonly #object: ArgumentsObject;
  readonly #breaks: LineBreaks;
  #isBegun = false;
  #hadBreak = false;
  #held = "";

  constructor(object: ArgumentsObject, breaks: LineBreaks) {
    this.#object = object;
    this.#breaks = breaks;
  }

  text(text: string): void {
    this.#held += text;
    if (!this.#isBegun && (this.#held === "" || this.#held === "\r")) return;
    this.#begin();
    this.#write(lastBreak(this.#held));
  }

  end(isUnclosed: boolean): void {
    this.#begin();
    this.#write(endOf(this.#held, this.#breaks, this.#hadBreak, isUnclosed));
    this.#object.value('"');
  }

  cut(): void {
    this.#begin();
    this.#write(this.#held.length);
  }

  /** Opens the string once its first characters are known. */
  #begin(): void {
    if (this.#isBegun) return;
    this.#isBegun = true;
    const from = this.#breaks === "kept" ? 0 : firstBreak(this.#held);
    this.#hadBreak = from > 0;
    this.#held = this.#held.slice(from);
    this.#object.value('"');
  }

  #write(end: number): void {
    if (end === 0) return;
    this.#object.value(JSON.stringify(this.#held.slice(0, end)).slice(1, -1));
    this.#held = this.#held.slice(end);
  }
}

/** Index where a value ends in its text; the line break at its beginning is already removed. */
function endOf(text: string, breaks: LineBreaks, hadBreak: boolean, isUnclosed: boolean): number {
  const isTrimmed = breaks === "trimmed" || (breaks === "trimmed in pairs" && hadBreak);
  return (isTrimmed || isUnclosed) && !text.endsWith("\r") ? lastBreak(text) : text.length;
}

/** Length of the line break at the beginning of the text. */
function firstBreak(text: string): number {
  if (text.startsWith("\n")) return 1;
  return text.startsWith("\r\n") ? 2 : 0;
}

/** Index of the line break, or of its first half, at the end of the text. */
function lastBreak(text: string): number {
  if (text.endsWith("\r\n")) return text.length - 2;
  return text.endsWith("\n") || text.endsWith("\r") ? text.length - 1 : text.length;
}
