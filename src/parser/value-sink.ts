import { argumentJson, stringJson } from "./argument-value.ts";
import type { ArgumentsObject } from "./arguments-object.ts";
import type { JsonType } from "./tool-table.ts";

/** Takes the text of one value and writes its JSON. */
export interface ValueSink {
  text(text: string): void;
  /** The value is whole. */
  end(): void;
  /** The answer is over within the value: what came of it is written, and a string left open. */
  cut(): void;
}

export interface ValueStyle {
  /** A line break after the opening tag and one before the closing tag are no part of the value. */
  readonly trimsLineBreaks: boolean;
}

/** A sink for an argument of those types. One that can only be a string is written while it comes. */
export function createValueSink(object: ArgumentsObject, types: ReadonlySet<JsonType>, style: ValueStyle): ValueSink {
  if (types.size === 1 && types.has("string")) return new StringSink(object, { ...style, unquotes: true });
  return new WholeSink(object, (text) => argumentJson(style.trimsLineBreaks ? withoutBreaks(text) : text, types));
}

/** Writes a value when it is whole. */
export class WholeSink implements ValueSink {
  readonly #object: ArgumentsObject;
  readonly #toJson: (text: string) => string;
  #text = "";

  constructor(object: ArgumentsObject, toJson: (text: string) => string) {
    this.#object = object;
    this.#toJson = toJson;
  }

  text(text: string): void {
    this.#text += text;
  }

  end(): void {
    this.#object.value(this.#toJson(this.#text));
  }

  cut(): void {
    if (this.#text !== "") this.end();
  }
}

/** Writes a string while it comes, but for what only its end decides. */
export class StringSink implements ValueSink {
  readonly #object: ArgumentsObject;
  readonly #trimsLineBreaks: boolean;
  readonly #unquotes: boolean;
  #state: "lead" | "start" | "open" | "quoted" = "lead";
  #held = "";

  /** `unquotes`: a value that is a JSON string literal is that string. */
  constructor(object: ArgumentsObject, options: ValueStyle & { readonly unquotes: boolean }) {
    this.#object = object;
    this.#trimsLineBreaks = options.trimsLineBreaks;
    this.#unquotes = options.unquotes;
  }

  text(text: string): void {
    this.#held += text;
    if (this.#state === "quoted") return;
    this.#begin(false);
    if (this.#state === "open") this.#write(this.#trimsLineBreaks ? lastBreak(this.#held) : this.#held.length);
  }

  end(): void {
    this.#begin(true);
    if (this.#trimsLineBreaks && !this.#held.endsWith("\r")) this.#held = this.#held.slice(0, lastBreak(this.#held));
    if (this.#state === "quoted") {
      this.#object.value(stringJson(this.#held));
    } else {
      this.#write(this.#held.length);
      this.#object.value('"');
    }
  }

  cut(): void {
    this.#begin(true);
    if (this.#state === "quoted") this.#object.value('"');
    this.#write(this.#held.length);
  }

  /** Goes on once the first characters are known. */
  #begin(isOver: boolean): void {
    if (this.#state === "lead") {
      if (!isOver && (this.#held === "" || this.#held === "\r")) return;
      if (this.#trimsLineBreaks) this.#held = this.#held.slice(firstBreak(this.#held));
      this.#state = "start";
    }
    if (this.#state !== "start" || (this.#held === "" && !isOver)) return;
    this.#state = this.#unquotes && this.#held.startsWith('"') ? "quoted" : "open";
    if (this.#state === "open") this.#object.value('"');
  }

  #write(end: number): void {
    if (end === 0) return;
    this.#object.value(JSON.stringify(this.#held.slice(0, end)).slice(1, -1));
    this.#held = this.#held.slice(end);
  }
}

function withoutBreaks(text: string): string {
  const inner = text.slice(firstBreak(text));
  return inner.endsWith("\r") ? inner : inner.slice(0, lastBreak(inner));
}

/** Length of the line break that the text begins with. */
function firstBreak(text: string): number {
  if (text.startsWith("\n")) return 1;
  return text.startsWith("\r\n") ? 2 : 0;
}

/** Where the line break, or the first half of one, that the text ends with begins. */
function lastBreak(text: string): number {
  if (text.endsWith("\r\n")) return text.length - 2;
  return text.endsWith("\n") || text.endsWith("\r") ? text.length - 1 : text.length;
}
