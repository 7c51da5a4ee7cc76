import type { JsonFields } from "../json/json-fields.ts";
import type { ToolSpec } from "../generation.ts";
import { type AskedChoice, readTool, refuseDoubles, type ToolUse, toolUse } from "../tool-use.ts";

/** Reads `tools` and `tool_choice`, or the older `functions` and `function_call`. */
export function readChatTools(fields: JsonFields, isParallel: boolean): ToolUse {
  const functions = fields.objects("functions");
  if (!fields.has("tools") && functions) {
    const tools = functions.map((tool) => readTool(tool, "parameters"));
    return toolUse(tools, readFunctionCall(fields), isParallel, fields, "function_call");
  }
  const tools = fields.objects("tools")?.map(readChatTool) ?? [];
  refuseDoubles(tools, fields);
  return toolUse(tools, readToolChoice(fields, chatChoice), isParallel, fields);
}

function readChatTool(fields: JsonFields): ToolSpec {
  const type = fields.string("type");
  if (type === "custom") throw fields.notBuilt("type", "tools of type custom are not supported: only functions");
  if (type !== "function") throw fields.error("type", "must be function");
  const { function: _itself, type: _always, ...beside } = fields.json;
  return readTool(memberOf(fields, "function"), "parameters", beside);
}

function readFunctionCall(fields: JsonFields): AskedChoice {
  const value = fields.value("function_call");
  if (value !== undefined && typeof value !== "string") {
    return { kind: "function", name: fields.object("function_call")?.requiredString("name") ?? "" };
  }
  return { kind: fields.oneOf("function_call", ["none", "auto"]) ?? "auto" };
}

/** Finds in `tool_choice` the name of a tool, and the object with the allowed tools. The APIs of OpenAI differ in both. */
export interface ChoiceShape {
  readonly nameOf: (tool: JsonFields) => string;
  readonly allowedOf: (choice: JsonFields) => JsonFields;
}

const chatChoice: ChoiceShape = {
  nameOf: (tool) => memberOf(tool, "function").requiredString("name"),
  allowedOf: (choice) => memberOf(choice, "allowed_tools"),
};

export function readToolChoice(fields: JsonFields, shape: ChoiceShape): AskedChoice {
  const value = fields.value("tool_choice");
  if (value === undefined || typeof value === "string") {
    return { kind: fields.oneOf("tool_choice", ["none", "auto", "required"]) ?? "auto" };
  }
  const choice = fields.object("tool_choice");
  const type = choice?.oneOf("type", ["function", "allowed_tools"]);
  if (!choice || !type) throw fields.error("tool_choice.type", "must be function or allowed_tools");
  if (type === "function") return { kind: "function", name: shape.nameOf(choice) };
  return readAllowed(shape.allowedOf(choice), shape.nameOf);
}

/** A choice among some of the tools, of which the model may or must call one. */
function readAllowed(fields: JsonFields, nameOf: ChoiceShape["nameOf"]): AskedChoice {
  const tools = fields.objects("tools");
  if (!tools || tools.length === 0) throw fields.error("tools", "must be a list of at least one tool");
  return { kind: fields.oneOf("mode", ["auto", "required"]) ?? "auto", allowed: tools.map(nameOf) };
}

function memberOf(fields: JsonFields, name: string): JsonFields {
  const member = fields.object(name);
  if (!member) throw fields.error(name, "must be an object");
  return member;
}
