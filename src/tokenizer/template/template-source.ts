import type { Program } from "../jinja/nodes.ts";

/** Facts about the messages that a template takes, read from its source. */
export interface TemplateTraits {
  /** A loop iterates over the content of a message. */
  readonly loopsOverContent: boolean;
  /** It tests whether the content of a message is none. */
  readonly asksForNone: boolean;
  /** It knows the role `developer`. */
  readonly knowsDeveloper: boolean;
}

interface Node {
  readonly [name: string]: unknown;
  readonly kind?: unknown;
}

/** Finds the traits of a parsed template by walking through its nodes. */
export function traitsOf(program: Program): TemplateTraits {
  const traits = { loopsOverContent: false, asksForNone: false, knowsDeveloper: false };
  // Variables that hold the content of a message.
  const aliases = new Set<unknown>(["content"]);
  const isContent = (value: unknown): boolean => {
    if (!isNode(value)) return false;
    const { kind, name, key, operand } = value;
    if (kind === "name") return aliases.has(name);
    if (kind === "filter") return isContent(operand);
    return kind === "attribute" ? name === "content" : kind === "item" && isNode(key) && key["value"] === "content";
  };
  const visit = (node: Node): void => {
    const { kind, target, value, operand, iterable } = node;
    if (kind === "set" && isNode(target) && isContent(value)) aliases.add(target["name"]);
    if (kind === "for" && isContent(iterable)) traits.loopsOverContent = true;
    if (kind === "test" && node["name"] === "none" && isContent(operand)) traits.asksForNone = true;
    if (kind === "comparison" && isContent(node["first"]) && comparesWithNone(node["rest"])) traits.asksForNone = true;
    if (kind === "constant" && value === "developer") traits.knowsDeveloper = true;
  };
  walk(program, visit);
  return traits;
}

function comparesWithNone(rest: unknown): boolean {
  return (
    Array.isArray(rest) &&
    rest.some((one: unknown) => isNode(one) && isNode(one["right"]) && one["right"]["value"] === null)
  );
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function walk(value: unknown, visit: (node: Node) => void): void {
  if (Array.isArray(value)) for (const member of value) walk(member, visit);
  if (!isNode(value)) return;
  visit(value);
  for (const member of Object.values(value)) walk(member, visit);
}
