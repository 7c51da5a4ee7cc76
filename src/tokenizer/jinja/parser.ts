import { ExpressionParser } from "./expression-parser.ts";
import type { MacroNode, Parameter, Program, Statement, Target } from "./nodes.ts";
import { TokenStream } from "./token-stream.ts";

/** Longest source of a template, UTF-16 units. The longest template of known models has 30,000. */
const MAX_SOURCE_CHARS = 262_144;

/** Parses a template. Throws SyntaxError for invalid templates, and for those beyond the bounds. */
export function parse(source: string): Program {
  if (source.length > MAX_SOURCE_CHARS) throw new SyntaxError("it is too long");
  return new Parser(new TokenStream(source)).program();
}

class Parser {
  readonly #tokens: TokenStream;
  readonly #expressions: ExpressionParser;

  constructor(tokens: TokenStream) {
    this.#tokens = tokens;
    this.#expressions = new ExpressionParser(tokens);
  }

  program(): Program {
    const body: Statement[] = [];
    while (!this.#tokens.is("end")) body.push(this.#statement());
    return { body };
  }

  #statement(): Statement {
    const tokens = this.#tokens;
    if (tokens.is("text")) return { kind: "text", text: tokens.next().text };
    if (tokens.next().text === "{{") {
      const value = this.#expressions.sequence();
      tokens.expect("close");
      return { kind: "output", value };
    }
    return tokens.within(() => this.#block(tokens.expect("name").text));
  }

  #block(name: string): Statement {
    switch (name) {
      case "if":
        return this.#if();
      case "for":
        return this.#for();
      case "set":
        return this.#set();
      case "macro":
        return this.#macro();
      case "call":
        return this.#call();
      case "filter":
        return this.#filter();
      case "with":
        return this.#with();
      case "generation":
        return { kind: "with", values: [], body: this.#closedBody("endgeneration") };
      case "break":
      case "continue":
        this.#tokens.expect("close");
        return { kind: name };
      default:
        throw new SyntaxError(`line ${this.#tokens.current.line}: there is no statement '${name}' here`);
    }
  }

  /** Reads from the end of the tag up to a tag with one of these names, and past that tag. */
  #body(...ends: readonly string[]): { body: Statement[]; end: string } {
    const tokens = this.#tokens;
    tokens.expect("close");
    const body: Statement[] = [];
    for (;;) {
      if (tokens.is("end")) throw tokens.error(`expected '${ends.join("' or '")}'`);
      const name = tokens.is("open", "{%") ? tokens.peek(1) : undefined;
      if (name?.kind === "name" && ends.includes(name.text)) {
        tokens.next();
        return { body, end: tokens.next().text };
      }
      body.push(this.#statement());
    }
  }

  #closedBody(end: string): Statement[] {
    const { body } = this.#body(end);
    this.#tokens.expect("close");
    return body;
  }

  #if(): Statement {
    const branches: { test: ReturnType<ExpressionParser["expression"]>; body: Statement[] }[] = [];
    for (;;) {
      const test = this.#expressions.sequence(false);
      const { body, end } = this.#body("elif", "else", "endif");
      branches.push({ test, body });
      if (end === "elif") continue;
      const otherwise = end === "else" ? this.#body("endif").body : [];
      this.#tokens.expect("close");
      return { kind: "if", branches, otherwise };
    }
  }

  #for(): Statement {
    const tokens = this.#tokens;
    const target = this.#expressions.target();
    tokens.expect("name", "in");
    const iterable = this.#expressions.sequence(false);
    const test = tokens.skip("name", "if") ? this.#expressions.expression() : undefined;
    const isRecursive = tokens.skip("name", "recursive");
    const { body, end } = this.#body("else", "endfor");
    const otherwise = end === "else" ? this.#body("endfor").body : [];
    tokens.expect("close");
    return { kind: "for", target, iterable, test, body, otherwise, isRecursive };
  }

  #set(): Statement {
    const tokens = this.#tokens;
    const target = this.#expressions.target();
    if (tokens.skip("sign", "=")) {
      const value = this.#expressions.sequence();
      tokens.expect("close");
      return { kind: "set", target, value };
    }
    const filter = tokens.skip("sign", "|") ? this.#filterChain() : undefined;
    return { kind: "set_block", target, filter, body: this.#closedBody("endset") };
  }

  /** `name | name(...)`, whose first `|` has been read or is not there. */
  #filterChain(): ReturnType<ExpressionParser["filter"]> {
    let filter = this.#expressions.filter(undefined);
    while (this.#tokens.skip("sign", "|")) filter = this.#expressions.filter(filter);
    return filter;
  }

  #filter(): Statement {
    return { kind: "filter_block", filter: this.#filterChain(), body: this.#closedBody("endfilter") };
  }

  #macro(): Statement {
    const name = this.#expressions.name();
    return { kind: "macro", macro: this.#macroBody(name, this.#parameters(), "endmacro") };
  }

  #call(): Statement {
    const tokens = this.#tokens;
    const parameters = tokens.is("sign", "(") ? this.#parameters() : [];
    const call = this.#expressions.expression();
    if (call.kind !== "call") throw tokens.error("expected a call");
    return { kind: "call_block", call, caller: this.#macroBody("caller", parameters, "endcall") };
  }

  #macroBody(name: string, parameters: readonly Parameter[], end: string): MacroNode {
    const outer = this.#tokens.names;
    this.#tokens.names = new Set();
    const body = this.#closedBody(end);
    const { names } = this.#tokens;
    for (const seen of names) outer.add(seen);
    this.#tokens.names = outer;
    const own = new Set(parameters.map((parameter) => parameter.name));
    const takes = (special: string) => names.has(special) && !own.has(special);
    return {
      name,
      parameters,
      body,
      takesList: takes("varargs"),
      takesDict: takes("kwargs"),
      takesCaller: names.has("caller"),
    };
  }

  #parameters(): Parameter[] {
    const tokens = this.#tokens;
    tokens.expect("sign", "(");
    const parameters: Parameter[] = [];
    while (!tokens.skip("sign", ")")) {
      if (parameters.length > 0) tokens.expect("sign", ",");
      if (tokens.skip("sign", ")")) break;
      const name = this.#expressions.name();
      const otherwise = tokens.skip("sign", "=") ? this.#expressions.expression() : undefined;
      if (!otherwise && parameters.at(-1)?.otherwise)
        throw tokens.error("a parameter without a default follows one with one");
      parameters.push({ name, otherwise });
    }
    return parameters;
  }

  #with(): Statement {
    const tokens = this.#tokens;
    const values: [Target, ReturnType<ExpressionParser["expression"]>][] = [];
    while (!tokens.is("close")) {
      if (values.length > 0) tokens.expect("sign", ",");
      const target: Target = { kind: "name", name: this.#expressions.name() };
      tokens.expect("sign", "=");
      values.push([target, this.#expressions.expression()]);
    }
    return { kind: "with", values, body: this.#closedBody("endwith") };
  }
}
