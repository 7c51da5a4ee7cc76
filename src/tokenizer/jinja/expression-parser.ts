import type { BinaryOperator, CompareOperator, Expression, GivenArguments, Target } from "./nodes.ts";
import type { TokenStream } from "./token-stream.ts";
import { Float, integer } from "./values.ts";

const CONSTANTS: ReadonlyMap<string, Expression> = new Map<string, Expression>([
  ...["true", "True"].map((name): [string, Expression] => [name, { kind: "constant", value: true }]),
  ...["false", "False"].map((name): [string, Expression] => [name, { kind: "constant", value: false }]),
  ...["none", "None"].map((name): [string, Expression] => [name, { kind: "constant", value: null }]),
]);
const COMPARISONS: ReadonlyMap<string, CompareOperator> = new Map(
  (["==", "!=", "<", "<=", ">", ">="] as const).map((operator) => [operator, operator]),
);
const SUMS: ReadonlyMap<string, BinaryOperator> = new Map([
  ["+", "+"],
  ["-", "-"],
]);
const PRODUCTS: ReadonlyMap<string, BinaryOperator> = new Map([
  ["*", "*"],
  ["/", "/"],
  ["//", "//"],
  ["%", "%"],
]);
const POWERS: ReadonlyMap<string, BinaryOperator> = new Map([["**", "**"]]);
const RESERVED: ReadonlySet<string> = new Set(["not", "and", "or", "if", "else", "in", "is"]);
const NOTHING: GivenArguments = { positional: [], named: [], list: undefined, dict: undefined };

/** Reads expressions like Jinja, from the operator that binds least to the one that binds most. Throws SyntaxError. */
export class ExpressionParser {
  readonly tokens: TokenStream;

  constructor(tokens: TokenStream) {
    this.tokens = tokens;
  }

  expression(): Expression {
    return this.tokens.within(() => this.#conditional());
  }

  /** One expression, or several with commas between them; `hasConditions` is false where an `if` means something else. */
  sequence(hasConditions = true): Expression {
    const { tokens } = this;
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.#isSequenceEnd()) {
      items.push(hasConditions ? this.expression() : tokens.within(() => this.#or()));
      if (!tokens.skip("sign", ",")) break;
      isTuple = true;
    }
    const [first] = items;
    if (!first) throw tokens.error("expected an expression");
    return isTuple ? { kind: "tuple", items } : first;
  }

  #isSequenceEnd(): boolean {
    const { tokens } = this;
    return tokens.is("close") || tokens.is("sign", ")", "]", "}") || tokens.is("name", "recursive");
  }

  /** Reads the target of a `for` or `set`. */
  target(): Target {
    const { tokens } = this;
    const items: Target[] = [];
    let isTuple = false;
    do {
      if (tokens.is("name", "in") || tokens.is("sign", "=", ")") || tokens.is("close")) break;
      items.push(this.#singleTarget());
      isTuple ||= tokens.is("sign", ",");
    } while (tokens.skip("sign", ","));
    const [first] = items;
    if (!first) throw tokens.error("expected a name");
    return isTuple ? { kind: "tuple", items } : first;
  }

  #singleTarget(): Target {
    const { tokens } = this;
    if (tokens.skip("sign", "(")) {
      const inner = tokens.within(() => this.target());
      tokens.expect("sign", ")");
      return inner;
    }
    const name = this.name();
    if (!tokens.skip("sign", ".")) return { kind: "name", name };
    tokens.names.add(name);
    return { kind: "member", name, attribute: this.name() };
  }

  name(): string {
    const { text } = this.tokens.expect("name");
    if (!RESERVED.has(text) && !CONSTANTS.has(text)) return text;
    throw new SyntaxError(`line ${this.tokens.current.line}: expected a name, got '${text}'`);
  }

  #conditional(): Expression {
    const { tokens } = this;
    let value = this.#or();
    while (tokens.skip("name", "if")) {
      const test = this.#or();
      const otherwise = tokens.skip("name", "else") ? this.expression() : undefined;
      value = { kind: "conditional", test, value, otherwise };
    }
    return value;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.tokens.skip("name", "or")) left = { kind: "or", left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.tokens.skip("name", "and")) left = { kind: "and", left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (!this.tokens.skip("name", "not")) return this.#comparison();
    return { kind: "not", operand: this.tokens.within(() => this.#not()) };
  }

  #comparison(): Expression {
    const { tokens } = this;
    const first = this.#sum();
    const rest: { operator: CompareOperator; right: Expression }[] = [];
    for (;;) {
      const sign = tokens.is("sign") ? COMPARISONS.get(tokens.current.text) : undefined;
      const isNegated = tokens.is("name", "not") && tokens.peek(1).kind === "name" && tokens.peek(1).text === "in";
      const operator = sign ?? (isNegated ? "not in" : tokens.is("name", "in") ? "in" : undefined);
      if (!operator) break;
      tokens.next();
      if (isNegated) tokens.next();
      rest.push({ operator, right: this.#sum() });
    }
    return rest.length === 0 ? first : { kind: "comparison", first, rest };
  }

  #sum(): Expression {
    return this.#binary(SUMS, () => this.#concatenation());
  }

  #concatenation(): Expression {
    const parts = [this.#product()];
    while (this.tokens.skip("sign", "~")) parts.push(this.#product());
    const [first] = parts;
    return parts.length === 1 && first ? first : { kind: "concatenation", parts };
  }

  #product(): Expression {
    return this.#binary(PRODUCTS, () => this.#binary(POWERS, () => this.#unary(true)));
  }

  #binary(operators: ReadonlyMap<string, BinaryOperator>, operand: () => Expression): Expression {
    const { tokens } = this;
    let left = operand();
    for (;;) {
      const operator = tokens.is("sign") ? operators.get(tokens.current.text) : undefined;
      if (!operator) return left;
      tokens.next();
      left = { kind: "binary", operator, left, right: operand() };
    }
  }

  #unary(hasFilters: boolean): Expression {
    const { tokens } = this;
    const sign = tokens.is("sign", "-", "+") ? tokens.next().text : undefined;
    const value: Expression =
      sign === undefined
        ? this.#postfix(this.#primary())
        : { kind: sign === "-" ? "negative" : "positive", operand: tokens.within(() => this.#unary(false)) };
    return hasFilters ? this.#filtered(value) : value;
  }

  #primary(): Expression {
    const { tokens } = this;
    const { kind, text } = tokens.current;
    if (kind === "name") {
      const constant = CONSTANTS.get(text);
      if (constant) {
        tokens.next();
        return constant;
      }
      const name = this.name();
      tokens.names.add(name);
      return { kind: "name", name };
    }
    if (kind === "string") return this.#string();
    if (kind === "integer") return { kind: "constant", value: integer(BigInt(tokens.next().text)) };
    if (kind === "float") return { kind: "constant", value: new Float(Number(tokens.next().text)) };
    if (tokens.skip("sign", "(")) return this.#parenthesised();
    if (tokens.skip("sign", "[")) return { kind: "list", items: this.#items("]") };
    if (tokens.skip("sign", "{")) return { kind: "dict", entries: this.#entries() };
    throw tokens.error("expected an expression");
  }

  #string(): Expression {
    let value = "";
    while (this.tokens.is("string")) value += this.tokens.next().text;
    return { kind: "constant", value };
  }

  #parenthesised(): Expression {
    const { tokens } = this;
    if (tokens.skip("sign", ")")) return { kind: "tuple", items: [] };
    const value = this.sequence();
    tokens.expect("sign", ")");
    return value;
  }

  #items(end: string): Expression[] {
    const items: Expression[] = [];
    while (!this.tokens.skip("sign", end)) {
      if (items.length > 0) this.tokens.expect("sign", ",");
      if (this.tokens.skip("sign", end)) break;
      items.push(this.expression());
    }
    return items;
  }

  #entries(): [Expression, Expression][] {
    const { tokens } = this;
    const entries: [Expression, Expression][] = [];
    while (!tokens.skip("sign", "}")) {
      if (entries.length > 0) tokens.expect("sign", ",");
      if (tokens.skip("sign", "}")) break;
      const key = this.expression();
      tokens.expect("sign", ":");
      entries.push([key, this.expression()]);
    }
    return entries;
  }

  #postfix(start: Expression): Expression {
    const { tokens } = this;
    let value = start;
    for (;;) {
      if (tokens.skip("sign", ".")) value = this.#member(value);
      else if (tokens.skip("sign", "[")) value = this.#subscript(value);
      else if (tokens.is("sign", "(")) value = { kind: "call", callee: value, args: this.arguments() };
      else return value;
    }
  }

  #member(target: Expression): Expression {
    const { tokens } = this;
    if (tokens.is("integer")) {
      return { kind: "item", target, key: { kind: "constant", value: Number(tokens.next().text) } };
    }
    return { kind: "attribute", target, name: tokens.expect("name").text };
  }

  #subscript(target: Expression): Expression {
    const { tokens } = this;
    const bounds: (Expression | undefined)[] = [undefined];
    while (!tokens.is("sign", "]")) {
      if (tokens.skip("sign", ":")) bounds.push(undefined);
      else if (bounds.at(-1) === undefined) bounds[bounds.length - 1] = this.sequence();
      else break;
    }
    tokens.expect("sign", "]");
    const [key] = bounds;
    if (bounds.length > 3) throw tokens.error("a slice has two colons at most");
    if (bounds.length > 1) return { kind: "slice", target, bounds };
    if (!key) throw tokens.error("expected an expression");
    return { kind: "item", target, key };
  }

  /** Reads filters and tests after `start`, and calls of their results. */
  #filtered(start: Expression): Expression {
    const { tokens } = this;
    let value = start;
    for (;;) {
      if (tokens.skip("sign", "|")) value = this.filter(value);
      else if (tokens.skip("name", "is")) value = this.#test(value);
      else if (tokens.is("sign", "(")) value = { kind: "call", callee: value, args: this.arguments() };
      else return value;
    }
  }

  /** Reads a filter; its `|` has been read. */
  filter(operand: Expression | undefined): Expression {
    const name = this.#dottedName();
    const args = this.tokens.is("sign", "(") ? this.arguments() : NOTHING;
    return { kind: "filter", operand, name, args };
  }

  #dottedName(): string {
    let { text } = this.tokens.expect("name");
    while (this.tokens.skip("sign", ".")) text += `.${this.tokens.expect("name").text}`;
    return text;
  }

  #test(operand: Expression): Expression {
    const { tokens } = this;
    const isNegated = tokens.skip("name", "not");
    const name = this.#dottedName();
    const test: Expression = { kind: "test", operand, name, args: this.#testArguments() };
    return isNegated ? { kind: "not", operand: test } : test;
  }

  #testArguments(): GivenArguments {
    const { tokens } = this;
    if (tokens.is("sign", "(")) return this.arguments();
    const isOne =
      (tokens.is("name") && !tokens.is("name", "else", "or", "and", "if", "in", "not", "is", "recursive")) ||
      tokens.is("string") ||
      tokens.is("integer") ||
      tokens.is("float") ||
      tokens.is("sign", "[", "{");
    return isOne ? { ...NOTHING, positional: [this.#postfix(this.#primary())] } : NOTHING;
  }

  /** Reads the arguments between the brackets of a call. */
  arguments(): GivenArguments {
    const { tokens } = this;
    tokens.expect("sign", "(");
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let list: Expression | undefined;
    let dict: Expression | undefined;
    for (let isFirst = true; !tokens.skip("sign", ")"); isFirst = false) {
      if (!isFirst) tokens.expect("sign", ",");
      if (tokens.skip("sign", ")")) break;
      if (dict) throw tokens.error("nothing may follow **");
      if (tokens.skip("sign", "*")) list = this.expression();
      else if (tokens.skip("sign", "**")) dict = this.expression();
      else if (tokens.is("name") && tokens.peek(1).kind === "sign" && tokens.peek(1).text === "=") {
        const name = this.name();
        tokens.next();
        named.push([name, this.expression()]);
      } else if (named.length > 0 || list) throw tokens.error("an argument without a name follows one with a name");
      else positional.push(this.expression());
    }
    return { positional, named, list, dict };
  }
}
