import type { JsonFields } from "./json/json-fields.ts";
import type { ChatForm } from "./chat-form.ts";
import type { Constraint, ToolChoice, ToolSpec } from "./generation.ts";
import { isJsonObject } from "./json/json.ts";

/** What a request of any API says of tool choice. */
export interface AskedChoice {
  readonly kind: "none" | "auto" | "required" | "function";
  /** With `function`: the name of the function that must be called. */
  readonly name?: string;
  /** Names of the tools that may be called; undefined where all may. */
  readonly allowed?: readonly string[];
}

/** The tools for the model, and whether it must call one. */
export interface ToolUse {
  /** The tools that the model is told of; undefined for none. */
  readonly tools: readonly ToolSpec[] | undefined;
  /** All tools of the request. */
  readonly declared: readonly ToolSpec[];
  readonly toolChoice: ToolChoice;
  /** Forces the model to write a call, where the request demands one. */
  readonly constraint: Constraint | undefined;
}

const NO_TOOLS = { tools: undefined, toolChoice: { kind: "none" }, constraint: undefined } as const;

/**
 * Decides which of the declared tools the model is told of, and whether it must call one. `fields` and `name` say where in the
 * body the choice stands, for errors. Throws invalid_request for a choice that names a tool which is not declared.
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
    return { ...NO_TOOLS, declared };
  }
  if (asked.kind === "none") return { ...NO_TOOLS, declared };
  const tools = offered(declared, asked, fields, name);
  const [first] = tools;
  if (asked.kind === "auto" || !first) return { tools, declared, toolChoice: { kind: "auto" }, constraint: undefined };
  const isOne = asked.kind === "function";
  return {
    tools,
    declared,
    toolChoice: isOne
      ? { kind: "function", name: first.name, form: "json_arguments" }
      : { kind: "required", form: "json_calls" },
    constraint: {
      kind: "json_schema",
      schema: JSON.stringify(isOne ? argumentsOf(first) : callsOf(tools, isParallel)),
    },
  };
}

/** The tools that the model is told of in this form; undefined for none. */
export function toldTools({ tools, declared }: ToolUse, form: ChatForm): ToolUse["tools"] {
  return form.tellsEveryTool && declared.length > 0 ? declared : tools;
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

/** Schema of a list of `{name, parameters}` in which each tool's name goes with its own parameters. */
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

/** A copy of a schema that is put into another one: references to its root (`#`) become references to `root`. */
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

/**
 * Reads a function. `schemaName` is the member that holds the schema of its arguments, which each API names differently; `beside`
 * are the members beside the function.
 */
export function readTool(fields: JsonFields, schemaName: string, beside: ToolSpec["beside"] = {}): ToolSpec {
  const { type: _ofTheTool, ...written } = fields.json;
  const name = fields.requiredString("name");
  fields.boolean("strict");
  return {
    name,
    description: fields.string("description"),
    parameters: fields.object(schemaName)?.json,
    written: schemaName === "parameters" ? written : underOneName(written, schemaName),
    beside,
  };
}

/** The members that functions have in OpenAI's APIs, of a function whose schema has another name. */
function underOneName(json: ToolSpec["written"], schemaName: string): ToolSpec["written"] {
  const { name, description, strict, defer_loading } = json;
  const members = { name, description, parameters: json[schemaName], strict, defer_loading };
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** Throws invalid_request where two tools have the same name, as a call of that name could mean either. */
export function refuseDoubles(tools: readonly ToolSpec[], fields: JsonFields): void {
  const seen = new Set<string>();
  for (const [index, { name }] of tools.entries()) {
    if (seen.has(name)) throw fields.error(`tools[${index}]`, `has the name ${name} of another tool`);
    seen.add(name);
  }
}
