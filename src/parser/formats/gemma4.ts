import type { CallContext, CallFormat } from "../call-format.ts";
import { MarkerSet } from "../marker-set.ts";
import { peekSolid, takeName, textUntil } from "../steps.ts";
import type { Step } from "../text-input.ts";

const CLOSER = "<tool_call|>";
const QUOTE = '<|"|>';
const PREFIX = "call:";
const ENDS = new MarkerSet([CLOSER, QUOTE]);
const QUOTE_END = new MarkerSet([QUOTE]);

/** Levels of lists and objects within each other. */
const MAX_DEPTH = 64;

/** Gemma 4: `call:NAME{key:<|"|>text<|"|>,n:1}`. A call comes out whole. */
export const gemma4: CallFormat = {
  openers: ["<|tool_call>"],
  closers: [CLOSER],
  isMarked: true,
  read: readCall,
};

function* readCall(context: CallContext): Step<void> {
  const { input, writer } = context;
  yield* peekSolid(input);
  const name = yield* takeName(input);
  if (!name.startsWith(PREFIX) || name.length === PREFIX.length) return;
  if ((yield* peekSolid(input)) !== 0x7b) return;
  const json = new ValueReader(yield* takeParts(context)).whole();
  if (json === undefined || !context.begin(name.slice(PREFIX.length))) return;
  writer.arguments(json);
}

/** What stands up to the closer, which is consumed: text outside and, at every second place, inside quotes. */
function* takeParts({ input }: CallContext): Step<readonly string[]> {
  const parts: string[] = [];
  for (;;) {
    let part = "";
    const isQuoted = parts.length % 2 === 1;
    const marker = yield* textUntil(input, isQuoted ? QUOTE_END : ENDS, (text) => (part += text));
    parts.push(part);
    if (marker === undefined) return [];
    if (marker === CLOSER) return parts;
  }
}

/** Reads objects and lists of bare keys, quoted texts and words. Every method gives undefined where it finds none. */
class ValueReader {
  readonly #parts: readonly string[];
  #part = 0;
  #at = 0;

  constructor(parts: readonly string[]) {
    this.#parts = parts;
  }

  /** The whole of it as a JSON object. */
  whole(): string | undefined {
    const json = this.#value(0);
    return this.#peek() === "" && this.#part === this.#parts.length - 1 ? json : undefined;
  }

  #value(depth: number): string | undefined {
    const next = this.#peek();
    if (depth > MAX_DEPTH) return undefined;
    if (next === "{") return this.#members("{", "}", () => this.#member(depth + 1));
    if (next === "[") return this.#members("[", "]", () => this.#value(depth + 1));
    if (next === "") return this.#quoted();
    const word = this.#word(/[^\s,\]}]+/y);
    if (word === undefined) return undefined;
    const isLiteral = /^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/.test(word);
    return isLiteral ? word : JSON.stringify(word);
  }

  #member(depth: number): string | undefined {
    const key = this.#peek() === "" ? this.#quoted() : this.#key();
    if (key === undefined || !this.#take(":")) return undefined;
    const value = this.#value(depth);
    return value === undefined ? undefined : `${key}:${value}`;
  }

  #members(open: string, close: string, member: () => string | undefined): string | undefined {
    this.#take(open);
    const all: string[] = [];
    while (!this.#take(close)) {
      if (all.length > 0 && !this.#take(",")) return undefined;
      const json = member();
      if (json === undefined) return undefined;
      all.push(json);
    }
    return open + all.join(",") + close;
  }

  #key(): string | undefined {
    const key = this.#word(/[^\s:,{}[\]]+/y);
    return key === undefined ? undefined : JSON.stringify(key);
  }

  /** The quoted text that begins where this part ends. */
  #quoted(): string | undefined {
    const text = this.#parts[this.#part + 1];
    if (text === undefined || this.#part + 2 >= this.#parts.length) return undefined;
    this.#part += 2;
    this.#at = 0;
    return JSON.stringify(text);
  }

  #word(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const word = pattern.exec(this.#parts[this.#part] ?? "")?.[0];
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
    const part = this.#parts[this.#part] ?? "";
    while (this.#at < part.length && " \t\r\n".includes(part.charAt(this.#at))) this.#at += 1;
    return part.charAt(this.#at);
  }
}
