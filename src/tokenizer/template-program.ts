import { parse, tokenize } from "@huggingface/jinja";
import { isRecord, type AnyRecord } from "../util/objects.ts";

export type Program = ReturnType<typeof parse>;
/** A node of a parsed template. The package exports no types of them; what is read of one is checked where it is read. */
export type TemplateNode = AnyRecord & { readonly type: string };

/** What must be watched where a node's value goes; several may hold for one node. */
export const ROLE = {
  /** Each of its members costs a step, whatever is done with it. */
  iterated: 1,
  /** It becomes text with all that is in it. */
  whole: 2,
  /** A method of it may be called. */
  receiver: 4,
  /** Its members are joined. */
  joined: 8,
  /** It stands between all that are joined. */
  separator: 16,
  /** Its lines are indented. */
  indented: 32,
  /** It stands before each line. */
  width: 64,
  /** It is an expression whose text is written out. */
  written: 128,
  /** It stands in a body, and what it writes follows what those before it have written. */
  statement: 256,
  /** It stands in the `else` of a loop. */
  otherwise: 512,
} as const;

/** Statements that are no expressions: what they have written is text already, or nothing. */
const STATEMENTS: ReadonlySet<string> = new Set([
  "Set",
  "If",
  "For",
  "Macro",
  "CallStatement",
  "FilterStatement",
  "Break",
  "Continue",
  "Comment",
]);

/** Methods of strings that are watched, or done otherwise than the package does them. */
const GUARDED: ReadonlySet<unknown> = new Set(["replace", "split", "strip", "lstrip", "rstrip"]);

/** Filters whose result may be many times as large as what goes in. */
const MULTIPLYING: ReadonlySet<string> = new Set(["replace", "join", "indent"]);

/**
 * Longest source of a template, and longest run of white space in one, UTF-16 units: the package reads such a run in the square
 * of its length. The longest template of known models has 30,000.
 */
const MAX_SOURCE_CHARS = 262_144;
const MAX_SPACE_CHARS = 1000;

export function isNode(value: unknown): value is TemplateNode {
  return isRecord(value) && typeof value["type"] === "string";
}

/** Nodes right below: members of its fields, lists and maps. */
function childrenOf(value: unknown): readonly TemplateNode[] {
  if (value instanceof Map) return [...value.keys(), ...value.values()].flatMap(nodesIn);
  return Object.values(isRecord(value) ? value : {}).flatMap(nodesIn);
}

function nodesIn(value: unknown): readonly TemplateNode[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn);
  if (value instanceof Map) return childrenOf(value);
  return isNode(value) ? [value] : [];
}

/** Calls `visit` for every node. */
export function walk(node: TemplateNode, visit: (node: TemplateNode) => void): void {
  visit(node);
  for (const child of childrenOf(node)) walk(child, visit);
}

export interface ParsedTemplate {
  readonly program: Program;
  readonly roles: ReadonlyMap<unknown, number>;
  /** Whether it has `break` or `continue`. */
  readonly hasJumps: boolean;
}

/** Parses with the settings of transformers. Throws SyntaxError, or RangeError for what is nested too deep. */
export function parseTemplate(source: string): ParsedTemplate {
  if (source.length > MAX_SOURCE_CHARS) throw new SyntaxError("it is too long");
  for (const [space] of source.matchAll(/\s+/g)) {
    if (space.length > MAX_SPACE_CHARS) throw new SyntaxError("it has too much white space");
  }
  const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  const roles = new Map<unknown, number>();
  let hasJumps = false;
  for (const node of nodesIn(program)) {
    walk(node, (node) => {
      assignRoles(node, roles);
      hasJumps ||= node.type === "Break" || node.type === "Continue";
    });
  }
  return { program, roles, hasJumps };
}

function assignRoles(node: TemplateNode, roles: Map<unknown, number>): void {
  const add = (target: unknown, role: number): void => void roles.set(target, (roles.get(target) ?? 0) | role);
  // What stands in a body is written out.
  for (const body of [node["body"], node["alternate"], node["defaultBlock"]]) {
    for (const statement of Array.isArray(body) ? body.filter(isNode) : []) {
      add(statement, ROLE.statement | ROLE.whole | (STATEMENTS.has(statement.type) ? 0 : ROLE.written));
      if (body === node["defaultBlock"]) add(statement, ROLE.otherwise);
    }
  }
  const { iterable } = node;
  if (node.type === "For")
    add(isNode(iterable) && iterable.type === "SelectExpression" ? iterable["lhs"] : iterable, ROLE.iterated);
  const { property } = node;
  if (node.type === "MemberExpression" && (node["computed"] === true || isGuarded(property)))
    add(node["object"], ROLE.receiver);
  if (node.type === "BinaryExpression") {
    const { operator, left, right } = node;
    const isConcatenation = isNode(operator) && operator["value"] === "~";
    for (const side of [left, right]) add(side, isConcatenation ? ROLE.whole | ROLE.written : ROLE.whole);
  }
  if (node.type === "CallExpression") for (const value of argumentsOf(node)) add(value, ROLE.whole);
  if (node.type === "FilterExpression") assignFilterRoles(node, add);
  if (node.type === "FilterStatement" && MULTIPLYING.has(filterName(node))) {
    throw new SyntaxError(`a block cannot be filtered by ${filterName(node)}`);
  }
}

function isGuarded(property: unknown): boolean {
  return isNode(property) && GUARDED.has(property["value"]);
}

function assignFilterRoles(node: TemplateNode, add: (target: unknown, role: number) => void): void {
  const name = filterName(node);
  const { operand, filter } = node;
  const values = isNode(filter) ? argumentsOf(filter) : [];
  if (name === "tojson" || name === "string") add(operand, ROLE.whole);
  if (name === "replace") add(operand, ROLE.receiver);
  if (name === "join") add(operand, ROLE.whole | ROLE.joined);
  if (name === "indent") add(operand, ROLE.indented);
  if (!MULTIPLYING.has(name) && name !== "tojson") return;
  for (const value of values) {
    if (value.type.endsWith("SpreadExpression")) throw new SyntaxError(`arguments of ${name} cannot be spread`);
    if (name === "join") add(value, ROLE.separator);
    if (name === "indent" || name === "tojson") add(value, ROLE.width);
  }
}

function filterName(node: TemplateNode): string {
  const { filter } = node;
  if (!isNode(filter)) return "";
  const name =
    filter.type === "CallExpression" && isNode(filter["callee"]) ? filter["callee"]["value"] : filter["value"];
  return typeof name === "string" ? name : "";
}

/** Expressions of the arguments of a call; of `name=value` the value. */
function argumentsOf(call: TemplateNode): readonly TemplateNode[] {
  const args: unknown = call["args"];
  return (Array.isArray(args) ? args.filter(isNode) : []).map((argument) => {
    const { value } = argument;
    return argument.type === "KeywordArgumentExpression" && isNode(value) ? value : argument;
  });
}
