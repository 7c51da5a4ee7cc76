import { Interpreter, type Environment } from "@huggingface/jinja";
import { equals, strip, written } from "./python-values.ts";
import { isNode, ROLE, type ParsedTemplate, type TemplateNode } from "./template-program.ts";
import { WrittenText } from "./written-text.ts";

export interface TemplateBudget {
  /** Nodes evaluated, and members of what is looped over. */
  readonly maxSteps: number;
  /** Of any one string, UTF-16 units. */
  readonly maxChars: number;
  /** By the clock, looked at between steps: a single one takes 0.2 s at most. */
  readonly maxMs: number;
}

/** A long conversation of 1000 messages takes 0.1 million steps. */
export const DEFAULT_BUDGET: TemplateBudget = { maxSteps: 5_000_000, maxChars: 8 * 1024 * 1024, maxMs: 1000 };

/** Members of any one list. */
const MAX_MEMBERS = 200_000;
/** Nodes within nodes; real templates stay below 100. */
const MAX_DEPTH = 500;
const MAX_SEPARATOR_CHARS = 32;
const MAX_WIDTH = 32;
/** What a member of a list or object counts, beside its text: its own marks, and its indentation for each level. */
const MEMBER_CHARS = 8;
/** Characters, and members, that cost as much as a step. */
const CHARS_A_STEP = 256;
const MEMBERS_A_STEP = 64;
/** Steps between looks at the clock. */
const CLOCK_STEPS = 512;

type Node = Parameters<Interpreter["evaluate"]>[0];
type Value = ReturnType<Interpreter["evaluate"]>;
type Method = (args: Value[], scope: Environment) => Value;

/** A template wants more than it may have. */
export class TemplateLimit extends Error {}

/** The list that `range` makes. Throws TemplateLimit for one that is too long. */
export function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [from, end] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) throw new Error("range() step must not be zero");
  const length = Math.max(0, Math.ceil((end - from) / step));
  if (!(length <= MAX_MEMBERS)) throw new TemplateLimit(`a range of ${length} numbers`);
  return Array.from({ length }, (_, index) => from + index * step);
}

/**
 * Runs a template with bounds on steps, text and time, so that one that loops or grows without end stops soon. Every node is
 * evaluated through `evaluate`; what a single operation could blow up (join, replace, indent, split, conversion to text) is
 * measured before it happens. For one run.
 */
export class BudgetedInterpreter extends Interpreter {
  readonly #roles: ReadonlyMap<unknown, number>;
  readonly #written: WrittenText | undefined;
  readonly #budget: TemplateBudget;
  readonly #deadline: number;
  readonly #guarded = new WeakSet<object>();
  #steps = 0;
  #nextClock = CLOCK_STEPS;
  #depth = 0;

  constructor(environment: Environment, { roles, hasJumps }: ParsedTemplate, budget: TemplateBudget) {
    super(environment);
    this.#roles = roles;
    this.#written = hasJumps ? new WrittenText() : undefined;
    this.#budget = budget;
    this.#deadline = performance.now() + budget.maxMs;
  }

  override evaluate(node: Node, environment: Environment): Value {
    this.#spend(1);
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new TemplateLimit("calls within calls without end");
    let value: Value;
    try {
      value = this.#written ? this.#evaluateCut(node, environment, this.#written) : this.#evaluate(node, environment);
    } finally {
      // `break` and `continue` are thrown.
      this.#depth -= 1;
    }
    this.#charge(value);
    const role = this.#roles.get(node);
    if (role === undefined) return value;
    this.#play(role, value);
    const text = role & ROLE.written ? written(value) : undefined;
    const shown = text === undefined ? value : this.#textValue(text, environment);
    const isNothing = shown.type === "NullValue" || shown.type === "UndefinedValue";
    if (this.#written && role & ROLE.statement && !isNothing) this.#written.add(shown.toString(), role);
    return shown;
  }

  /** With what loops have written before they were cut. */
  #evaluateCut(node: Node, environment: Environment, written: WrittenText): Value {
    if (!isNode(node)) return this.#evaluate(node, environment);
    written.enter(node);
    let value: Value;
    try {
      value = this.#evaluate(node, environment);
    } catch (thrown) {
      written.abandon(node);
      throw thrown;
    }
    const text = written.leave(node);
    return text === undefined ? value : this.#textValue(text, environment);
  }

  /** As the package does it, but for what it does otherwise than Python. */
  #evaluate(node: Node, environment: Environment): Value {
    if (isNode(node)) {
      const comparison = node.type === "BinaryExpression" ? comparisonOf(node) : undefined;
      if (comparison) {
        const [left, right] = [
          this.evaluate(comparison.left, environment),
          this.evaluate(comparison.right, environment),
        ];
        return super.evaluate(booleanNode(equals(left, right) !== comparison.isNegated), environment);
      }
      const trimmed = node.type === "FilterExpression" ? trimOperandOf(node) : undefined;
      if (trimmed) {
        const value = this.evaluate(trimmed, environment);
        if (typeof value.value === "string") return this.#textValue(strip(value.value, "both"), environment);
      }
    }
    return super.evaluate(node, environment);
  }

  #textValue(text: string, environment: Environment): Value {
    const node = { type: "StringLiteral", value: text };
    return super.evaluate(node, environment);
  }

  #spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > this.#budget.maxSteps) throw new TemplateLimit("too many steps");
    if (this.#steps < this.#nextClock) return;
    this.#nextClock = this.#steps + CLOCK_STEPS;
    if (performance.now() > this.#deadline) throw new TemplateLimit("too much time");
  }

  #charge({ value }: Value): void {
    if (typeof value === "string") {
      this.#checkChars(value.length);
      if (value.length >= CHARS_A_STEP) this.#spend(value.length / CHARS_A_STEP);
      return;
    }
    const members = memberCount(value);
    if (members > MAX_MEMBERS) throw new TemplateLimit("a list too long");
    if (members >= MEMBERS_A_STEP) this.#spend(members / MEMBERS_A_STEP);
  }

  #checkChars(chars: number): void {
    if (!(chars <= this.#budget.maxChars)) throw new TemplateLimit("too much text");
  }

  #play(role: number, played: Value): void {
    const { value } = played;
    if (role & ROLE.iterated) this.#spend(memberCount(value));
    if (role & ROLE.whole) this.#checkChars(this.#textOf(value, 0, 0));
    if (role & ROLE.width && typeof value === "number" && value > MAX_WIDTH)
      throw new TemplateLimit("a wide indentation");
    if (typeof value !== "string") return;
    if (role & ROLE.separator && value.length > MAX_SEPARATOR_CHARS) throw new TemplateLimit("a long separator");
    if (role & ROLE.joined) this.#checkChars(value.length * MAX_SEPARATOR_CHARS);
    if (role & ROLE.indented) this.#checkChars(value.length + occurrences(value, "\n", Infinity) * MAX_WIDTH);
    // The methods of a value are made when they are first asked for.
    if (role & ROLE.receiver) this.#guardMethods(value, played.builtins);
  }

  /** Characters that a value has as text, about, with all that is in it; throws when it is too much, before it is made. */
  #textOf(value: unknown, chars: number, depth: number): number {
    if (typeof value === "string") return chars + value.length;
    if (typeof value !== "object" || value === null) return chars + MEMBER_CHARS;
    if (depth > MAX_DEPTH) throw new TemplateLimit("lists within lists without end");
    let total = chars;
    const members: Iterable<Value> = value instanceof Map ? value.values() : Array.isArray(value) ? value : [];
    for (const member of members) {
      total = this.#textOf(member.value, total + MEMBER_CHARS + depth * MAX_WIDTH, depth + 1);
      this.#checkChars(total);
    }
    this.#spend((total - chars) / CHARS_A_STEP);
    return total;
  }

  /** The functions belong to the one value, and to this run. The package's ways to strip know no characters but white space. */
  #guardMethods(text: string, builtins: Value["builtins"]): void {
    const stripped = (sides: "both" | "left" | "right") => (chars: unknown) =>
      strip(text, sides, typeof chars === "string" ? chars : undefined);
    this.#replace(builtins.get("strip"), stripped("both"));
    this.#replace(builtins.get("lstrip"), stripped("left"));
    this.#replace(builtins.get("rstrip"), stripped("right"));
    this.#guard(builtins.get("replace"), ([old, replacement]) => {
      const [from, to] = [old?.value, replacement?.value];
      if (typeof from !== "string" || typeof to !== "string") return;
      const most = Math.floor(this.#budget.maxChars / Math.max(1, to.length));
      this.#checkChars(text.length + to.length * occurrences(text, from, most + 1));
    });
    this.#guard(builtins.get("split"), ([separator]) => {
      const by = typeof separator?.value === "string" ? separator.value : " ";
      if (by !== "" && occurrences(text, by, MAX_MEMBERS) >= MAX_MEMBERS) throw new TemplateLimit("a list too long");
    });
  }

  #replace(method: Value | undefined, replacement: (first: unknown) => string): void {
    if (!method || !isMethod(method.value) || this.#guarded.has(method)) return;
    this.#guarded.add(method);
    method.value = ([first]: Value[], scope: Environment): Value => this.#textValue(replacement(first?.value), scope);
  }

  #guard(method: Value | undefined, check: (args: Value[]) => void): void {
    if (!method || !isMethod(method.value) || this.#guarded.has(method)) return;
    const call: Method = method.value;
    this.#guarded.add(method);
    method.value = (args: Value[], scope: Environment): Value => {
      check(args);
      return call(args, scope);
    };
  }
}

function comparisonOf(node: TemplateNode): { left: TemplateNode; right: TemplateNode; isNegated: boolean } | undefined {
  const { operator, left, right } = node;
  const sign = isNode(operator) ? operator["value"] : undefined;
  if ((sign !== "==" && sign !== "!=") || !isNode(left) || !isNode(right)) return undefined;
  return { left, right, isNegated: sign === "!=" };
}

/** The operand where a node is `operand | trim`. */
function trimOperandOf(node: TemplateNode): TemplateNode | undefined {
  const { operand, filter } = node;
  return isNode(filter) && filter.type === "Identifier" && filter["value"] === "trim" && isNode(operand)
    ? operand
    : undefined;
}

function booleanNode(value: boolean): { type: string; value: string } {
  return { type: "Identifier", value: value ? "true" : "false" };
}

function isMethod(value: unknown): value is Method {
  return typeof value === "function";
}

function memberCount(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  return value instanceof Map ? value.size : 0;
}

/** How often a string stands in another, counted up to a bound. */
function occurrences(text: string, part: string, bound: number): number {
  if (part === "") return Math.min(bound, text.length + 1);
  let count = 0;
  for (let at = text.indexOf(part); at >= 0 && count < bound; at = text.indexOf(part, at + part.length)) count += 1;
  return count;
}
