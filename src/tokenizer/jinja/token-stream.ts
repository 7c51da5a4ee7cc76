import { tokenize, type Token, type TokenKind } from "./lexer.ts";

/** Most levels of nested brackets and blocks; real templates stay below 50. */
const MAX_DEPTH = 200;

/** The tokens of a template, one after the other. */
export class TokenStream {
  readonly #tokens: readonly Token[];
  /** Names that expressions have used, so that a macro knows which variables its body uses. */
  names = new Set<string>();
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#tokens = tokenize(source);
  }

  get current(): Token {
    return this.peek(0);
  }

  peek(ahead: number): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)] ?? { kind: "end", text: "", line: 0 };
  }

  next(): Token {
    const token = this.current;
    this.#at += 1;
    return token;
  }

  is(kind: TokenKind, ...texts: readonly string[]): boolean {
    const { current } = this;
    return current.kind === kind && (texts.length === 0 || texts.includes(current.text));
  }

  /** Moves past the token if it is this one. */
  skip(kind: TokenKind, text: string): boolean {
    if (!this.is(kind, text)) return false;
    this.#at += 1;
    return true;
  }

  expect(kind: TokenKind, text?: string): Token {
    if (text === undefined ? this.is(kind) : this.is(kind, text)) return this.next();
    throw this.error(`expected ${text === undefined ? `a ${kind}` : `'${text}'`}`);
  }

  error(what: string): SyntaxError {
    const { kind, text, line } = this.current;
    return new SyntaxError(
      `line ${line}: ${what}, got ${kind === "end" ? "the end" : JSON.stringify(text.slice(0, 40))}`,
    );
  }

  /** Runs `read` one level deeper, within brackets or a block. */
  within<T>(read: () => T): T {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new SyntaxError("it is nested too deep");
    const value = read();
    this.#depth -= 1;
    return value;
  }
}
