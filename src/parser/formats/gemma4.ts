import type { ArgumentSchema } from "../argument-schema.ts";
import { argumentJson } from "../argument-value.ts";
import type { CallContext, CallFormat } from "../call-format.ts";
import { MarkerSet } from "../marker-set.ts";
import { peekSolid, takeName, textBefore } from "../steps.ts";
import type { Step } from "../text-input.ts";
import { OPEN_BRACE } from "../../util/ascii.ts";

const OPENER = "<|tool_call>";
const CLOSER = "<tool_call|>";
const QUOTE = '<|"|>';
/** Some answers leave out the word `call`, and some write parentheses for braces. */
const PREFIX = /^(?:call)?:(?=.)/;
const OPEN_PARENTHESIS = 0x28;
const STOPS = [OPENER, CLOSER, "<turn|>", "<|tool_response>"];
const QUOTE_END = new MarkerSet([QUOTE]);
const IN_BRACES = new MarkerSet([QUOTE, ...STOPS, "{", "}", "[", "]"]);
const IN_PARENTHESES = new MarkerSet([...IN_BRACES.markers, "(", ")"]);
/** Tokens that may follow a quoted text without its closing quote. */
const TRAILING_STOPS = ["<tool_call|>", "<turn|>", "<|tool_response>"];

/** Most levels of nested lists and objects. */
const MAX_DEPTH = 64;

/** Gemma 4: `call:NAME{key:<|"|>text<|"|>,n:1}`. A call comes out when it is complete, or when the answer ends within it. */
export const gemma4: CallFormat = {
  openers: [OPENER],
  closers: [CLOSER],
  isMarked: true,
  read: readCall,
};

function* readCall(context: CallContext): Step<void> {
  const { input, writer, tools } = context;
  yield* peekSolid(input);
  const id = yield* takeName(input);
  const name = id.replace(PREFIX, "");
  const unit = yield* peekSolid(input);
  if (name === id || (unit !== OPEN_BRACE && unit !== OPEN_PARENTHESIS)) return;
  const parts = yield* takeParts(context, unit === OPEN_BRACE ? IN_BRACES : IN_PARENTHESES);
  const json = new ValueReader(parts).read(tools.schemaOf(name));
  if (json !== undefined && context.begin(name)) writer.arguments(json);
}

interface Parts {
  /** Alternately the text outside of quotes and the text within quotes. */
  readonly texts: readonly string[];
  /** Whether the last bracket has arrived. */
  readonly isWhole: boolean;
}

/** Consumes text up to the bracket that closes the first one, or up to where it can no longer follow. */
function* takeParts({ input }: CallContext, outside: MarkerSet): Step<Parts> {
  const texts: string[] = [];
  let depth = 0;
  let text = "";
  for (;;) {
    const isQuoted = texts.length % 2 === 1;
    const marker = yield* textBefore(input, isQuoted ? QUOTE_END : outside, (part) => (text += part));
    if (marker === undefined || STOPS.includes(marker)) {
      texts.push(isQuoted ? withoutStops(text) : text);
      return { texts, isWhole: false };
    }
    input.takeTo(input.at + marker.length);
    if (marker === QUOTE) {
      texts.push(text);
      text = "";
      continue;
    }
    text += marker;
    depth += "{[(".includes(marker) ? 1 : -1;
    if (depth === 0) return { texts: [...texts, text], isWhole: true };
  }
}

/** Reads objects and lists of bare keys, quoted texts and words. Each method returns false where its value does not stand here. */
class ValueReader {
  readonly #parts: Parts;
  readonly #isInParentheses: boolean;
  #part = 0;
  #at = 0;
  #json = "";
  /** Whether the answer ended within the value. */
  #isCut = false;
  #hasKey = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#isInParentheses = parts.texts[0]?.startsWith("(") === true;
  }

  /** Reads the whole text as a JSON object; of a cut text the part that is there, from the first key on. undefined where it is not an object. */
  read(schema: ArgumentSchema): string | undefined {
    const close = this.#isInParentheses ? ")" : "}";
    const isRead = this.#members("{", close, () => this.#member(schema, 1));
    if (isRead) return this.#peek() === "" && this.#part === this.#parts.texts.length - 1 ? this.#json : undefined;
    return this.#isCut && this.#hasKey ? this.#json : undefined;
  }

  #value(schema: ArgumentSchema, depth: number): boolean {
    const next = this.#peek();
    if (depth > MAX_DEPTH) return false;
    if (next === "{") return this.#members("{", "}", () => this.#member(schema, depth + 1));
    if (next === "[") {
      const { items } = schema;
      return this.#members("[", "]", () => this.#value(items, depth + 1));
    }
    if (next === "") return this.#quoted();
    const word = this.#word(this.#isInParentheses ? /[^,\]})]+/y : /[^,\]}]+/y);
    return word !== undefined && this.#write(argumentJson(word.trimEnd(), schema));
  }

  #member(schema: ArgumentSchema, depth: number): boolean {
    const from = this.#json.length;
    if (!(this.#peek() === "" ? this.#quoted() : this.#key()) || !this.#takeColon()) return false;
    this.#hasKey = true;
    const key: unknown = JSON.parse(this.#json.slice(from));
    return this.#write(":") && this.#value(schema.member(String(key)), depth);
  }

  /** Takes a colon, or the `=` that some models write between parentheses, as in Python. */
  #takeColon(): boolean {
    return this.#take(":") || (this.#isInParentheses && this.#take("="));
  }

  /** Reads members between the bracket at this place and `close`. `open` is the bracket that JSON has for it. */
  #members(open: string, close: string, member: () => boolean): boolean {
    this.#peek();
    this.#at += 1;
    this.#write(open);
    for (let isFirst = true; !this.#take(close); isFirst = false) {
      if (this.#isCut || (!isFirst && !(this.#take(",") && this.#write(",")))) return false;
      if (!member()) return false;
    }
    return this.#write(open === "{" ? "}" : "]");
  }

  #key(): boolean {
    const key = this.#word(this.#isInParentheses ? /[^\s:=,{}[\]()]+/y : /[^\s:,{}[\]()]+/y);
    return key !== undefined && this.#write(JSON.stringify(key));
  }

  /** Reads the quoted text at the end of this part. */
  #quoted(): boolean {
    const { texts, isWhole } = this.#parts;
    const text = texts[this.#part + 1];
    if (text === undefined) return false;
    this.#isCut = !isWhole && this.#part + 2 >= texts.length;
    this.#part += 2;
    this.#at = 0;
    this.#write(this.#isCut ? JSON.stringify(text).slice(0, -1) : JSON.stringify(text));
    return !this.#isCut;
  }

  #write(json: string): true {
    this.#json += json;
    return true;
  }

  #word(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const word = pattern.exec(this.#parts.texts[this.#part] ?? "")?.[0];
    this.#at += word?.length ?? 0;
    return word;
  }

  #take(unit: string): boolean {
    if (this.#peek() !== unit) return false;
    this.#at += 1;
    return true;
  }

  /** The next character that is not white space; "" at the end of this part. */
  #peek(): string {
    const { texts, isWhole } = this.#parts;
    const part = texts[this.#part] ?? "";
    while (this.#at < part.length && " \t\r\n".includes(part.charAt(this.#at))) this.#at += 1;
    if (!isWhole && this.#at === part.length && this.#part >= texts.length - 1) this.#isCut = true;
    return part.charAt(this.#at);
  }
}

/** The text before the tokens at its end. White space is dropped only behind such a token. */
function withoutStops(text: string): string {
  let kept = text.length;
  // By places: each shorter copy of the text would be as long as the text.
  for (;;) {
    let end = kept;
    while (end > 0 && text.charAt(end - 1).trim() === "") end -= 1;
    const stop = TRAILING_STOPS.find((one) => end >= one.length && text.startsWith(one, end - one.length));
    if (stop === undefined) return text.slice(0, kept);
    kept = end - stop.length;
  }
}
