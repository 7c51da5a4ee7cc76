import { isJsonObject, type JsonObject, objectField, stringField } from "../protocol/json/json.ts";
import { schemaValue } from "./schema-value.ts";

/** A call of the tool that a request asks for. */
export interface ToolCall {
  readonly name: string;
  readonly arguments: string;
  /** The arguments as a value that the tool's schema allows. */
  readonly input: unknown;
}

/** The call that answers a request of chat, messages or responses: of the tool that `tool_choice` asks for, or that the last message names. */
export function toolCallFor(body: JsonObject): ToolCall | undefined {
  const tools = Array.isArray(body["tools"]) ? body["tools"].filter(isJsonObject) : [];
  const functions = tools.map((tool) => objectField(tool, "function") ?? tool);
  const name = wantedName(
    body,
    functions.map((tool) => stringField(tool, "name")).filter((one) => one !== undefined),
  );
  if (name === undefined) return undefined;
  const tool = functions.find((one) => one["name"] === name) ?? {};
  const input = schemaValue(tool["parameters"] ?? tool["input_schema"] ?? { type: "object" });
  return { name, arguments: JSON.stringify(input), input };
}

/** Name of the tool to call. `tool_choice` is a string or an object in OpenAI's APIs, and an object with a type in Anthropic's. */
function wantedName(body: JsonObject, names: readonly string[]): string | undefined {
  const choice = body["tool_choice"];
  const allowed = isJsonObject(choice) ? (objectField(choice, "allowed_tools") ?? choice) : {};
  const listed = Array.isArray(allowed["tools"]) ? allowed["tools"].filter(isJsonObject) : undefined;
  const open = listed?.map((tool) => stringField(objectField(tool, "function") ?? tool, "name") ?? "") ?? names;
  const mode = isJsonObject(choice) ? (stringField(allowed, "mode") ?? stringField(choice, "type")) : choice;
  switch (mode) {
    case "none":
      return undefined;
    case "required":
    case "any":
      return open[0];
    case "function":
    case "tool":
      return isJsonObject(choice) ? stringField(objectField(choice, "function") ?? choice, "name") : undefined;
    default: {
      const text = lastQuestion(body);
      return open.find((name) => name !== "" && text.includes(name));
    }
  }
}

/** The text of the last message where a user wrote it; empty where the last message is the result of a tool, which asks for no call. */
function lastQuestion(body: JsonObject): string {
  const input = body["messages"] ?? body["input"];
  if (typeof input === "string") return input;
  const last: unknown = Array.isArray(input) ? input.at(-1) : undefined;
  if (!isJsonObject(last) || last["role"] !== "user") return "";
  const { content } = last;
  if (typeof content === "string") return content;
  const parts = Array.isArray(content) ? content.filter(isJsonObject) : [];
  if (parts.some((part) => part["type"] === "tool_result")) return "";
  return parts.map((part) => stringField(part, "text") ?? "").join("\n");
}
