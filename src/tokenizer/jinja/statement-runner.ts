import { LoopVariable } from "./loop.ts";
import type { Expression, ForNode, Statement, Target } from "./nodes.ts";
import type { Evaluator } from "./runtime.ts";
import { Scope } from "./scope.ts";
import { textOf } from "./text.ts";
import { isTrue, iterate, Namespace, TemplateError, type Value } from "./values.ts";

/** Name of the variable that holds the text of a block while filters run over it. A space leads, so that no template can name it. */
export const BLOCK_TEXT = " block";

/** The text that a body has written. */
interface Output {
  text: string;
}

/** How a body ended: at its end, or by a jump that a loop around it takes. */
type Ending = "end" | "break" | "continue";

/** Runs statements, which write text and set variables. */
export class StatementRunner {
  readonly #interpreter: Evaluator;

  constructor(interpreter: Evaluator) {
    this.#interpreter = interpreter;
  }

  /** Runs the statements and returns their text. */
  textOf(statements: readonly Statement[], scope: Scope): string {
    const output = { text: "" };
    this.#run(statements, scope, output);
    return output.text;
  }

  #run(statements: readonly Statement[], scope: Scope, output: Output): Ending {
    const { meter } = this.#interpreter;
    meter.enter();
    for (const statement of statements) {
      const ending = this.#runOne(statement, scope, output);
      if (ending === "end") continue;
      meter.leave();
      return ending;
    }
    meter.leave();
    return "end";
  }

  #runOne(statement: Statement, scope: Scope, output: Output): Ending {
    const { meter } = this.#interpreter;
    meter.spend(1);
    switch (statement.kind) {
      case "text":
        this.#write(statement.text, output);
        return "end";
      case "output":
        this.#write(textOf(this.#interpreter.evaluate(statement.value, scope), meter), output);
        return "end";
      case "if":
        return this.#if(statement, scope, output);
      case "for":
        return this.#loop(statement, this.#interpreter.evaluate(statement.iterable, scope), scope, output, 0);
      case "with": {
        const inner = new Scope(scope);
        for (const [target, value] of statement.values)
          this.#assign(target, this.#interpreter.evaluate(value, scope), inner);
        return this.#run(statement.body, inner, output);
      }
      case "break":
      case "continue":
        return statement.kind;
      default:
        this.#define(statement, scope, output);
        return "end";
    }
  }

  #define(statement: Definition, scope: Scope, output: Output): void {
    const interpreter = this.#interpreter;
    switch (statement.kind) {
      case "set":
        this.#assign(statement.target, interpreter.evaluate(statement.value, scope), scope);
        break;
      case "set_block": {
        const text = this.textOf(statement.body, new Scope(scope));
        this.#assign(statement.target, statement.filter ? this.#filtered(statement.filter, text, scope) : text, scope);
        break;
      }
      case "macro":
        scope.set(statement.macro.name, interpreter.macro(statement.macro, scope));
        break;
      case "call_block": {
        const { callee, args } = statement.call;
        const { positional, named } = interpreter.argumentsOf(args, scope);
        const caller = interpreter.macro(statement.caller, scope);
        const value = interpreter.call(interpreter.evaluate(callee, scope), {
          positional,
          named: new Map(named).set("caller", caller),
        });
        this.#write(textOf(value, interpreter.meter), output);
        break;
      }
      case "filter_block": {
        const text = this.textOf(statement.body, new Scope(scope));
        this.#write(textOf(this.#filtered(statement.filter, text, scope), interpreter.meter), output);
      }
    }
  }

  #filtered(filter: Expression, text: string, scope: Scope): Value {
    return this.#interpreter.evaluate(filter, new Scope(scope, new Map([[BLOCK_TEXT, text]])));
  }

  #write(text: string, output: Output): void {
    output.text += text;
    const { meter } = this.#interpreter;
    meter.readText(text.length);
    meter.bound(output.text.length);
  }

  #if(statement: Statement & { kind: "if" }, scope: Scope, output: Output): Ending {
    for (const { test, body } of statement.branches) {
      if (isTrue(this.#interpreter.evaluate(test, scope))) return this.#run(body, scope, output);
    }
    return this.#run(statement.otherwise, scope, output);
  }

  #loop(node: ForNode, iterable: Value, scope: Scope, output: Output, depth: number): Ending {
    const { meter } = this.#interpreter;
    const items = this.#chosen(node, iterate(iterable, meter), scope);
    const recurse = (values: Value, within: number): string => {
      const inner = { text: "" };
      meter.enter();
      this.#loop(node, values, scope, inner, within);
      meter.leave();
      return inner.text;
    };
    const loop = new LoopVariable(items, depth, meter, node.isRecursive ? recurse : undefined);
    // Like Jinja, a turn that a jump cut short does not count.
    let hasTurns = false;
    for (const [index, item] of items.entries()) {
      meter.spend(1);
      loop.index = index;
      const turn = new Scope(scope);
      turn.set("loop", loop);
      this.#assign(node.target, item, turn);
      const ending = this.#run(node.body, turn, output);
      if (ending === "break") break;
      hasTurns ||= ending === "end";
    }
    return hasTurns ? "end" : this.#run(node.otherwise, scope, output);
  }

  /** The members that pass the loop's `if`. */
  #chosen({ target, test }: ForNode, items: readonly Value[], scope: Scope): readonly Value[] {
    const { meter } = this.#interpreter;
    meter.members(items.length);
    if (!test) return items;
    return items.filter((item) => {
      meter.spend(1);
      const turn = new Scope(scope);
      this.#assign(target, item, turn);
      return isTrue(this.#interpreter.evaluate(test, turn));
    });
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === "name") return scope.set(target.name, value);
    if (target.kind === "member") {
      const owner = scope.get(target.name);
      if (!(owner instanceof Namespace)) throw new TemplateError("cannot assign attribute on non-namespace object");
      owner.members.set(target.attribute, value);
      return;
    }
    const items = iterate(value, this.#interpreter.meter);
    const wanted = target.items.length;
    if (items.length > wanted) throw new TemplateError(`too many values to unpack (expected ${wanted})`);
    if (items.length < wanted) {
      throw new TemplateError(`not enough values to unpack (expected ${wanted}, got ${items.length})`);
    }
    for (const [index, item] of items.entries()) {
      const inner = target.items[index];
      if (inner) this.#assign(inner, item, scope);
    }
  }
}

type Definition = Extract<Statement, { kind: "set" | "set_block" | "macro" | "call_block" | "filter_block" }>;
