import type { JsonFields } from "./json/json-fields.ts";
import type { Constraint, ToolChoice, ToolSpec } from "./generation.ts";
import { isJsonObject } from "./json/json.ts";

/** What a client asks of the tools, in any API. */
export interface AskedChoice {
  readonly kind: "none" | "auto" | "required" | "function";
  /** The one function that must be called. */
  readonly name?: string;
  /** Where not all tools may be called. */
  readonly allowed?: readonly string[];
}

export interface ToolUse {
  /** What the model is told of; undefined where it is told of none. */
  readonly tools: readonly ToolSpec[] | undefined;
  readonly toolChoice: ToolChoice;
  /** Makes the text a call, where one must be made. */
  readonly constraint: Constraint | undefined;
}

const NO_TOOLS: ToolUse = { tools: undefined, toolChoice: { kind: "none" }, constraint: undefined };

/**
 * Tools as the choice leaves them: none of them, those that are allowed, or the one that must be called. `fields` and `name`
 * say where the choice stands. Throws invalid_request for a choice among tools that are not there.
 */
export function toolUse(
  declared: readonly ToolSpec[],
  asked: AskedChoice,
  isParallel: boolean,
  fields: JsonFields,
  name = "tool_choice",
): ToolUse {
  if (declared.length === 0) {
    if (asked.kind === "required" || asked.kind === "function") throw fields.error(name, "needs tools to choose from");
    return NO_TOOLS;
  }
  if (asked.kind === "none") return NO_TOOLS;
  const tools = offered(declared, asked, fields, name);
  const [first] = tools;
  if (asked.kind === "auto" || !first) return { tools, toolChoice: { kind: "auto" }, constraint: undefined };
  const isOne = asked.kind === "function";
  return {
    tools,
    toolChoice: isOne
      ? { kind: "function", name: first.name, form: "json_arguments" }
      : { kind: "required", form: "json_calls" },
    constraint: {
      kind: "json_schema",
      schema: JSON.stringify(isOne ? argumentsOf(first) : callsOf(tools, isParallel)),
    },
  };
}

function offered(declared: readonly ToolSpec[], asked: AskedChoice, fields: JsonFields, name: string): ToolSpec[] {
  const wanted = asked.name === undefined ? asked.allowed : [asked.name];
  if (!wanted) return [...declared];
  const missing = wanted.find((candidate) => !declared.some((tool) => tool.name === candidate));
  if (missing !== undefined) throw fields.error(name, `names the function ${missing}, which is not among the tools`);
  return declared.filter((tool) => wanted.includes(tool.name));
}

type Schema = Readonly<Record<string, unknown>>;

function argumentsOf({ parameters }: ToolSpec): Schema {
  return parameters ?? { type: "object", properties: {} };
}

/** A list of `{name, parameters}` in which each name goes with its own parameters. */
function callsOf(tools: readonly ToolSpec[], isParallel: boolean): Schema {
  return {
    type: "array",
    minItems: 1,
    ...(isParallel ? {} : { maxItems: 1 }),
    items: {
      type: "object",
      anyOf: tools.map((tool, index) => ({
        properties: {
          name: { type: "string", enum: [tool.name] },
          parameters: moveReferences(argumentsOf(tool), `#/items/anyOf/${index}/properties/parameters`),
        },
        required: ["name", "parameters"],
      })),
    },
  };
}

/** A schema that has been put into another one: what its references call the root is now at `root`. */
function moveReferences(schema: unknown, root: string): unknown {
  if (Array.isArray(schema)) return schema.map((entry) => moveReferences(entry, root));
  if (!isJsonObject(schema)) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [
      key,
      key === "$ref" && typeof value === "string" && value.startsWith("#")
        ? root + value.slice(1)
        : moveReferences(value, root),
    ]),
  );
}

/** Name, description and schema of a function, whatever the API calls the schema. */
export function readTool(fields: JsonFields, schemaName: string): ToolSpec {
  const name = fields.requiredString("name");
  return {
    name,
    description: fields.string("description"),
    parameters: fields.object(schemaName)?.json,
    isStrict: fields.boolean("strict") ?? false,
  };
}

/** Throws invalid_request where two tools have the same name: a call could not be told to be of either. */
export function refuseDoubles(tools: readonly ToolSpec[], fields: JsonFields): void {
  const seen = new Set<string>();
  for (const [index, { name }] of tools.entries()) {
    if (seen.has(name)) throw fields.error(`tools[${index}]`, `has the name ${name} of another tool`);
    seen.add(name);
  }
}
