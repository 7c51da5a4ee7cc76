import { isSpace } from "./text.ts";

export type TokenKind = "text" | "open" | "close" | "name" | "string" | "integer" | "float" | "sign" | "end";

/**
 * A piece of a template. `open` and `close` are the ends of a tag, with `{%` or `{{` as their text; `text` is the text between
 * tags; a string has its value; the others have their spelling.
 */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly line: number;
}

const SIGNS = /(?:\/\/|\*\*|==|!=|>=|<=|[-+*/%~[\](){}<>=.:|,;])/y;
const NUMBER =
  /(?:0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)?)/y;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const STRING = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const RAW_BEGIN = /\{%[-+]?\s*raw\s*(?:(-)%\}|%\})/y;
const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|(-)%\}|%\}\n?)/g;
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };
/** After a point, a number must not take a second point: `a.0.1` reads two members. */
const POINT = ".";

/** Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks` as in transformers. Throws SyntaxError. */
export function tokenize(source: string): Token[] {
  return new Lexer(source.replaceAll(/\r\n?/g, "\n").replace(/\n$/, "")).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  #counted = 0;
  /** Whether the next text begins a line. */
  #isLineStart = true;

  constructor(source: string) {
    this.#source = source;
  }

  run(): Token[] {
    while (this.#at < this.#source.length) this.#readText();
    this.#push("end", "");
    return this.#tokens;
  }

  /** Reads text up to the next tag, and the tag. */
  #readText(): void {
    const start = this.#at;
    const tag = this.#nextTag(start);
    const open = this.#source.slice(tag, tag + 2);
    const mark = this.#source.charAt(tag + 2);
    this.#pushText(this.#source.slice(start, tag), open, mark);
    if (tag === this.#source.length) {
      this.#at = tag;
      return;
    }
    if (open === "{#") return this.#skipComment(tag);
    RAW_BEGIN.lastIndex = tag;
    const raw = open === "{%" ? RAW_BEGIN.exec(this.#source) : null;
    if (raw) return this.#readRaw(tag + raw[0].length, raw[1] === "-");
    this.#at = tag + (isMark(open, mark) ? 3 : 2);
    this.#push("open", open);
    this.#readTag(open === "{%" ? "%}" : "}}");
  }

  #nextTag(from: number): number {
    for (let at = this.#source.indexOf("{", from); at >= 0; at = this.#source.indexOf("{", at + 1)) {
      const next = this.#source.charAt(at + 1);
      if (next === "%" || next === "{" || next === "#") return at;
    }
    return this.#source.length;
  }

  #pushText(text: string, open: string, mark: string): void {
    let shown = text;
    if (mark === "-" && open !== "") shown = stripEnd(text);
    else if (mark !== "+" && (open === "{%" || open === "{#")) shown = this.#withoutIndentation(text);
    if (shown !== "") this.#push("text", shown);
  }

  /** The text without white space between the beginning of a line and a tag. */
  #withoutIndentation(text: string): string {
    const line = text.lastIndexOf("\n") + 1;
    if (line === 0 && !this.#isLineStart) return text;
    for (let at = line; at < text.length; at += 1) if (!isSpace(text.charAt(at))) return text;
    return text.slice(0, line);
  }

  #skipComment(start: number): void {
    const end = this.#source.indexOf("#}", start + 2);
    if (end < 0) throw new SyntaxError("a comment has no end");
    const mark = end > start + 2 ? this.#source.charAt(end - 1) : "";
    this.#endTag(end + 2, mark, true);
  }

  #readRaw(start: number, isStripped: boolean): void {
    RAW_END.lastIndex = start;
    const end = RAW_END.exec(this.#source);
    if (!end) throw new SyntaxError("a raw block has no end");
    let from = start;
    if (isStripped) while (isSpace(this.#source.charAt(from)) && from < end.index) from += 1;
    this.#isLineStart = this.#source.charAt(from - 1) === "\n";
    this.#pushText(this.#source.slice(from, end.index), "{%", end[1] ?? "");
    this.#at = end.index + end[0].length;
    this.#isLineStart = end[0].endsWith("\n");
    if (end[2] === "-") this.#skipSpace();
  }

  /** Reads the inside of a tag, and its end. */
  #readTag(close: string): void {
    const brackets: string[] = [];
    for (;;) {
      this.#skipSpace();
      const char = this.#source.charAt(this.#at);
      if (char === "") throw new SyntaxError("a tag has no end");
      if (brackets.length === 0 && this.#readClose(close, char)) return;
      const token = this.#readToken(char);
      if (token.kind !== "sign") continue;
      const closing = CLOSING[token.text];
      if (closing !== undefined) brackets.push(closing);
      else if (")]}".includes(token.text) && brackets.pop() !== token.text) {
        throw new SyntaxError(`line ${token.line}: unexpected '${token.text}'`);
      }
    }
  }

  #readClose(close: string, char: string): boolean {
    const isMarked = char === "-" || (char === "+" && close === "%}");
    const start = this.#at + (isMarked ? 1 : 0);
    if (!this.#source.startsWith(close, start)) return false;
    this.#push("close", close);
    this.#endTag(start + 2, isMarked ? char : "", close === "%}");
    return true;
  }

  /** Moves past a tag. With `-` it skips all white space; otherwise it skips the end of the line, where lines are trimmed. */
  #endTag(end: number, mark: string, isTrimmed: boolean): void {
    this.#at = end;
    if (mark === "-") this.#skipSpace();
    else if (mark !== "+" && isTrimmed && this.#source.charAt(end) === "\n") this.#at += 1;
    this.#isLineStart = this.#source.charAt(this.#at - 1) === "\n";
  }

  #readToken(char: string): Token {
    const number = char >= "0" && char <= "9" ? this.#readNumber() : undefined;
    if (number) return number;
    const string = char === "'" || char === '"' ? this.#match(STRING) : undefined;
    if (string !== undefined) return this.#push("string", unescape(string.slice(1, -1)));
    const name = this.#match(NAME);
    if (name !== undefined) return this.#push("name", name);
    const sign = this.#match(SIGNS);
    if (sign !== undefined) return this.#push("sign", sign);
    throw new SyntaxError(`line ${this.#lineHere()}: unexpected character ${JSON.stringify(char)}`);
  }

  #readNumber(): Token | undefined {
    const start = this.#at;
    const text = this.#match(NUMBER) ?? "";
    const isWhole = /^(?:0[bBoOxX]|\d[\d_]*$)/.test(text);
    if (isWhole) return this.#push("integer", text.replaceAll("_", ""));
    if (this.#source.charAt(start - 1) !== POINT) return this.#push("float", text.replaceAll("_", ""));
    const whole = /^[\d_]+/.exec(text)?.[0] ?? "";
    this.#at = start + whole.length;
    return this.#push("integer", whole.replaceAll("_", ""));
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #skipSpace(): void {
    while (this.#at < this.#source.length && isSpace(this.#source.charAt(this.#at))) this.#at += 1;
  }

  #push(kind: TokenKind, text: string): Token {
    const token = { kind, text, line: this.#lineHere() };
    this.#tokens.push(token);
    return token;
  }

  #lineHere(): number {
    for (; this.#counted < this.#at; this.#counted += 1)
      if (this.#source.charAt(this.#counted) === "\n") this.#line += 1;
    return this.#line;
  }
}

function isMark(open: string, mark: string): boolean {
  return mark === "-" || (mark === "+" && open === "{%");
}

function stripEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** The value of a string literal. An escape that Python does not know stays unchanged. */
function unescape(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (whole, byte?: string, unit?: string, point?: string, octal?: string, char?: string) => {
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      const hex = byte ?? unit ?? point;
      if (hex === undefined) {
        if (char === "x" || char === "u" || char === "U")
          throw new SyntaxError(`a string has a broken escape ${whole}`);
        return ESCAPES[char ?? ""] ?? whole;
      }
      const code = Number.parseInt(hex, 16);
      if (code > 0x10ffff) throw new SyntaxError(`a string has a broken escape ${whole}`);
      return String.fromCodePoint(code);
    },
  );
}
