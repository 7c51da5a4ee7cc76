import { Arguments } from "./arguments.ts";
import { concatenate, numberOf, operate } from "./arithmetic.ts";
import { compare, contains, equals } from "./compare.ts";
import { FILTERS } from "./filters.ts";
import { createMacro } from "./macro.ts";
import { attributeOf, itemOf, sliceOf } from "./members.ts";
import type { Meter } from "./meter.ts";
import type { CompareOperator, Expression, GivenArguments, MacroNode } from "./nodes.ts";
import type { Evaluator } from "./runtime.ts";
import type { Scope } from "./scope.ts";
import { BLOCK_TEXT, StatementRunner } from "./statement-runner.ts";
import { TESTS } from "./tests.ts";
import { LoopVariable } from "./loop.ts";
import {
  Callable,
  type CallArguments,
  Float,
  integer,
  isDict,
  isList,
  isNumber,
  isTrue,
  iterate,
  type Key,
  keyOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Runs one template once, and evaluates its expressions by Python's rules. */
export class Interpreter implements Evaluator {
  readonly meter: Meter;
  readonly #statements: StatementRunner;

  constructor(meter: Meter) {
    this.meter = meter;
    this.#statements = new StatementRunner(this);
  }

  get statements(): StatementRunner {
    return this.#statements;
  }

  /** Throws TemplateError where Python would refuse the expression, TemplateLimit where it costs too much. */
  evaluate(node: Expression, scope: Scope): Value {
    const { meter } = this;
    meter.spend(1);
    meter.enter();
    const value = this.#evaluate(node, scope);
    meter.leave();
    // The next step with a long value costs by its length, so the meter counts it here.
    if (typeof value === "string") meter.makeText(value.length);
    else if (isList(value)) meter.members(value.length);
    return value;
  }

  #evaluate(node: Expression, scope: Scope): Value {
    switch (node.kind) {
      case "constant":
        return node.value;
      case "name":
        return scope.get(node.name);
      case "attribute":
        return attributeOf(this.evaluate(node.target, scope), node.name, this.meter);
      case "item":
        return itemOf(this.evaluate(node.target, scope), this.evaluate(node.key, scope), this.meter);
      case "slice":
        return this.#slice(node.target, node.bounds, scope);
      case "call":
        return this.call(this.evaluate(node.callee, scope), this.argumentsOf(node.args, scope));
      case "filter":
        return this.#filter(node.operand, node.name, node.args, scope);
      case "test":
        return this.test(node.name, this.evaluate(node.operand, scope), this.argumentsOf(node.args, scope));
      case "list":
        return node.items.map((item) => this.evaluate(item, scope));
      case "tuple":
        return new Tuple(node.items.map((item) => this.evaluate(item, scope)));
      case "dict":
        return this.#dict(node.entries, scope);
      default:
        return this.#operation(node, scope);
    }
  }

  #operation(node: Operation, scope: Scope): Value {
    switch (node.kind) {
      case "and": {
        const left = this.evaluate(node.left, scope);
        return isTrue(left) ? this.evaluate(node.right, scope) : left;
      }
      case "or": {
        const left = this.evaluate(node.left, scope);
        return isTrue(left) ? left : this.evaluate(node.right, scope);
      }
      case "not":
        return !isTrue(this.evaluate(node.operand, scope));
      case "conditional": {
        if (isTrue(this.evaluate(node.test, scope))) return this.evaluate(node.value, scope);
        if (node.otherwise) return this.evaluate(node.otherwise, scope);
        return new Undefined("the inline if-expression has no else");
      }
      case "comparison":
        return this.#comparison(node.first, node.rest, scope);
      case "concatenation":
        return concatenate(
          node.parts.map((part) => this.evaluate(part, scope)),
          this.meter,
        );
      case "binary":
        return operate(node.operator, this.evaluate(node.left, scope), this.evaluate(node.right, scope), this.meter);
      case "negative":
      case "positive":
        return signed(node.kind, this.evaluate(node.operand, scope));
    }
  }

  #slice(target: Expression, bounds: readonly (Expression | undefined)[], scope: Scope): Value {
    const value = this.evaluate(target, scope);
    return sliceOf(
      value,
      bounds.map((bound) => (bound ? this.evaluate(bound, scope) : null)),
      this.meter,
    );
  }

  #dict(entries: readonly (readonly [Expression, Expression])[], scope: Scope): Value {
    const dict = new Map<Key, Value>();
    for (const [key, value] of entries) dict.set(keyOf(this.evaluate(key, scope)), this.evaluate(value, scope));
    return dict;
  }

  #comparison(
    first: Expression,
    rest: readonly { readonly operator: CompareOperator; readonly right: Expression }[],
    scope: Scope,
  ): boolean {
    let left = this.evaluate(first, scope);
    for (const { operator, right } of rest) {
      const other = this.evaluate(right, scope);
      if (!holds(operator, left, other, this.meter)) return false;
      left = other;
    }
    return true;
  }

  #filter(operand: Expression | undefined, name: string, args: GivenArguments, scope: Scope): Value {
    // A filter without an operand belongs to a block. The statement runner puts the block's text into BLOCK_TEXT.
    const value = operand ? this.evaluate(operand, scope) : scope.get(BLOCK_TEXT);
    return this.filter(name, value, this.argumentsOf(args, scope));
  }

  filter(name: string, value: Value, args: CallArguments): Value {
    const filter = FILTERS.get(name);
    if (!filter) throw new TemplateError(`there is no filter named '${name}'`);
    return filter(value, args, this);
  }

  test(name: string, value: Value, args: CallArguments): boolean {
    const test = TESTS.get(name);
    if (!test) throw new TemplateError(`there is no test named '${name}'`);
    return test(value, args, this);
  }

  call(callee: Value, args: CallArguments): Value {
    if (callee instanceof Callable) return callee.call(args);
    if (callee instanceof LoopVariable && callee.recurse) {
      return callee.recurse(new Arguments("loop", ["iterable"], args).value("iterable"), callee.depth + 1);
    }
    if (callee instanceof Undefined) throw callee.error;
    throw new TemplateError(`'${typeName(callee)}' object is not callable`);
  }

  argumentsOf({ positional, named, list, dict }: GivenArguments, scope: Scope): CallArguments {
    const values = positional.map((value) => this.evaluate(value, scope));
    if (list) {
      const more = iterate(this.evaluate(list, scope), this.meter);
      this.meter.members(values.length + more.length);
      values.push(...more);
    }
    if (named.length === 0 && !dict) return { positional: values, named: NO_NAMES };
    const byName = new Map(named.map(([name, value]): [string, Value] => [name, this.evaluate(value, scope)]));
    const more = dict && this.evaluate(dict, scope);
    if (more !== undefined && !isDict(more))
      throw new TemplateError(`argument after ** must be a mapping, not ${typeName(more)}`);
    for (const [key, value] of more ?? []) byName.set(String(key), value);
    return { positional: values, named: byName };
  }

  macro(node: MacroNode, scope: Scope): Callable {
    return createMacro(node, scope, this);
  }
}

type Operation = Exclude<
  Expression,
  {
    kind: "constant" | "name" | "attribute" | "item" | "slice" | "call" | "filter" | "test" | "list" | "tuple" | "dict";
  }
>;

const NO_NAMES: ReadonlyMap<string, Value> = new Map();

function holds(operator: CompareOperator, left: Value, right: Value, meter: Meter): boolean {
  switch (operator) {
    case "==":
      return equals(left, right, meter);
    case "!=":
      return !equals(left, right, meter);
    case "in":
      return contains(right, left, meter);
    case "not in":
      return !contains(right, left, meter);
    case "<":
      return compare(left, right, meter, operator) < 0;
    case "<=":
      return compare(left, right, meter, operator) <= 0;
    case ">":
      return compare(left, right, meter, operator) > 0;
    case ">=":
      return compare(left, right, meter, operator) >= 0;
  }
}

function signed(kind: "negative" | "positive", value: Value): Value {
  if (value instanceof Undefined) throw value.error;
  if (!isNumber(value)) {
    throw new TemplateError(`bad operand type for unary ${kind === "negative" ? "-" : "+"}: '${typeName(value)}'`);
  }
  if (value instanceof Float) return kind === "negative" ? new Float(-numberOf(value)) : value;
  const whole = BigInt(value);
  return integer(kind === "negative" ? -whole : whole);
}
