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
/** Some answers leave out the word, some write parentheses for braces. */
const PREFIX = /^(?:call)?:(?=.)/;
const OPEN_PARENTHESIS = 0x28;
const STOPS = [OPENER, CLOSER, "<turn|>", "<|tool_response>"];
const QUOTE_END = new MarkerSet([QUOTE]);
const IN_BRACES = new MarkerSet([QUOTE, ...STOPS, "{", "}", "[", "]"]);
const IN_PARENTHESES = new MarkerSet([...IN_BRACES.markers, "(", ")"]);
/** What may follow a quoted text that was not closed. */
const TRAILING_STOPS = /(?:(?:<tool_call\|>|<turn\|>|<\|tool_response>)\s*)+$/;

/** Levels of lists and objects within each other. */
const MAX_DEPTH = 64;

/** Gemma 4: `call:NAME{key:<|"|>text<|"|>,n:1}`. A call comes out whole, or as far as it goes where the answer is cut. */
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
  /** Text outside of quotes and, at every second place, within them. */
  readonly texts: readonly string[];
  /** The last bracket has come. */
  readonly isWhole: boolean;
}

/** Consumes what stands up to the bracket that closes the first one, or up to where it cannot come any more. */
function* takeParts({ input }: CallContext, outside: MarkerSet): Step<Parts> {
  const texts: string[] = [];
  let depth = 0;
  let text = "";
  for (;;) {
    const isQuoted = texts.length % 2 === 1;
    const marker = yield* textBefore(input, isQuoted ? QUOTE_END : outside, (part) => (text += part));
    if (marker === undefined || STOPS.includes(marker)) {
      texts.push(isQuoted ? text.replace(TRAILING_STOPS, "") : text);
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

/** Reads objects and lists of bare keys, quoted texts and words. Every method is false where it finds none. */
class ValueReader {
  readonly #parts: Parts;
  readonly #isInParentheses: boolean;
  #part = 0;
  #at = 0;
  #json = "";
  /** The answer is over before the value is. */
  #isCut = false;
  #hasKey = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#isInParentheses = parts.texts[0]?.startsWith("(") === true;
  }

  /** The whole of it as a JSON object, or what there is of it from its first key on; undefined where it is none. */
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

  /** In parentheses some write keywords as Python does. */
  #takeColon(): boolean {
    return this.#take(":") || (this.#isInParentheses && this.#take("="));
  }

  /** `open` and what closes it in JSON; in the text it is the bracket here and `close`. */
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

  /** The quoted text that begins where this part ends. */
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

  /** The next character that is no white space; "" at the end of this part. */
  #peek(): string {
    const { texts, isWhole } = this.#parts;
    const part = texts[this.#part] ?? "";
    while (this.#at < part.length && " \t\r\n".includes(part.charAt(this.#at))) this.#at += 1;
    if (!isWhole && this.#at === part.length && this.#part >= texts.length - 1) this.#isCut = true;
    return part.charAt(this.#at);
  }
}
