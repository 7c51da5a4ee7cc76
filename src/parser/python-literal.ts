/** Most levels of nested lists and dicts. */
const MAX_DEPTH = 64;

const WORDS: Readonly<Record<string, string>> = {
  True: "true",
  False: "false",
  None: "null",
  true: "true",
  false: "false",
  null: "null",
};

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  b: "\b",
  f: "\f",
  v: "\v",
  a: "\x07",
  "0": "\0",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};

/** Turns a Python literal into JSON; undefined where the text is not one. Numbers keep their digits. */
export function pythonToJson(text: string): string | undefined {
  const reader = new PythonReader(text);
  const json = reader.value(0);
  return json !== undefined && reader.isDone ? json : undefined;
}

/** Turns `a=1, b="x"` into a JSON object; undefined for other texts, such as positional arguments. */
export function pythonArguments(text: string): string | undefined {
  const reader = new PythonReader(text);
  const members = reader.members("", () => reader.keyword());
  return members !== undefined && reader.isDone ? `{${members.join(",")}}` : undefined;
}

class PythonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isDone(): boolean {
    this.#skipSpace();
    return this.#at >= this.#text.length;
  }

  value(depth: number): string | undefined {
    this.#skipSpace();
    const unit = this.#text[this.#at] ?? "";
    if (unit === '"' || unit === "'") return this.#strings();
    if (unit !== "" && "[({".includes(unit)) return depth === MAX_DEPTH ? undefined : this.#container(unit, depth + 1);
    return this.#word();
  }

  keyword(): string | undefined {
    const name = this.#match(/[\p{L}_][\p{L}\p{N}_]*/uy);
    if (name === undefined || !this.#take("=")) return undefined;
    const value = this.value(0);
    return value === undefined ? undefined : `${JSON.stringify(name)}:${value}`;
  }

  /** Reads members separated by commas up to `close`; up to the end of the text where `close` is "". */
  members(close: string, member: () => string | undefined): string[] | undefined {
    const all: string[] = [];
    for (;;) {
      if (close === "" ? this.isDone : this.#take(close)) return all;
      if (all.length > 0 && !this.#take(",")) return undefined;
      // A trailing comma is allowed.
      if (close === "" ? this.isDone : this.#take(close)) return all;
      const json = member();
      if (json === undefined) return undefined;
      all.push(json);
    }
  }

  #container(open: string, depth: number): string | undefined {
    this.#at += 1;
    if (open === "{") {
      const pairs = this.members("}", () => this.#pair(depth));
      return pairs && `{${pairs.join(",")}}`;
    }
    const items = this.members(open === "[" ? "]" : ")", () => this.value(depth));
    return items && `[${items.join(",")}]`;
  }

  #pair(depth: number): string | undefined {
    const key = this.value(depth);
    if (key === undefined || !this.#take(":")) return undefined;
    const value = this.value(depth);
    if (value === undefined) return undefined;
    return `${key.startsWith('"') ? key : JSON.stringify(key)}:${value}`;
  }

  /** Reads one or more adjacent strings, which Python joins. */
  #strings(): string | undefined {
    let text = "";
    for (;;) {
      const part = this.#string();
      if (part === undefined) return undefined;
      text += part;
      this.#skipSpace();
      const unit = this.#text[this.#at];
      if (unit !== '"' && unit !== "'") return JSON.stringify(text);
    }
  }

  #string(): string | undefined {
    const mark = this.#text[this.#at] ?? "";
    const quote = this.#text.startsWith(mark.repeat(3), this.#at) ? mark.repeat(3) : mark;
    this.#at += quote.length;
    let text = "";
    let from = this.#at;
    for (; this.#at < this.#text.length; this.#at += 1) {
      const unit = this.#text[this.#at];
      if (unit === mark && this.#text.startsWith(quote, this.#at)) {
        text += this.#text.slice(from, this.#at);
        this.#at += quote.length;
        return text;
      }
      if (unit === "\\") {
        text += this.#text.slice(from, this.#at) + this.#escape();
        from = this.#at + 1;
      }
    }
    return undefined;
  }

  /** Reads the escape at the current place and stays on its last unit. Like Python, it keeps an unknown escape unchanged. */
  #escape(): string {
    this.#at += 1;
    const kind = this.#text[this.#at] ?? "";
    const length = kind === "x" ? 2 : kind === "u" ? 4 : kind === "U" ? 8 : 0;
    const digits = this.#text.slice(this.#at + 1, this.#at + 1 + length);
    const code = /^[0-9a-fA-F]+$/.test(digits) && digits.length === length ? Number.parseInt(digits, 16) : -1;
    if (code >= 0 && code <= 0x10ffff) {
      this.#at += length;
      return String.fromCodePoint(code);
    }
    return ESCAPES[kind] ?? `\\${kind}`;
  }

  /** Reads a number, True, False or None. */
  #word(): string | undefined {
    const word = this.#match(/[\p{L}\p{N}_.+-]+/uy);
    if (word === undefined) return undefined;
    return Object.hasOwn(WORDS, word) ? WORDS[word] : numberJson(word);
  }

  #match(pattern: RegExp): string | undefined {
    this.#skipSpace();
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #take(unit: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== unit) return false;
    this.#at += 1;
    return true;
  }

  #skipSpace(): void {
    while (this.#at < this.#text.length && " \t\r\n".includes(this.#text[this.#at] ?? "")) this.#at += 1;
  }
}

/** Turns a Python number into a JSON number. */
function numberJson(word: string): string | undefined {
  if (!/^[+-]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/.test(word)) return undefined;
  const json = word
    .replaceAll("_", "")
    .replace(/^\+/, "")
    .replace(/^(-?)\./, "$10.")
    .replace(/\.(?=[eE]|$)/, ".0");
  return /^-?0[0-9]/.test(json) ? undefined : json;
}
