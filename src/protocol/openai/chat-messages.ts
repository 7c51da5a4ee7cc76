import { withoutBillingLine } from "../billing-line.ts";
import type { JsonFields } from "../json/json-fields.ts";
import type { JsonObject } from "../json/json.ts";
import { readCallArguments } from "./call-arguments.ts";
import { CHAT_PARTS, readTextContent, type TextContent } from "./text-content.ts";

type Message = Readonly<Record<string, unknown>>;

const ROLES = ["system", "developer", "user", "assistant", "tool", "function"] as const;

/** Reads and checks the conversation. Members that the gateway does not know stay, as the chat template may know them. */
export function readChatMessages(fields: JsonFields): Message[] {
  const messages = fields.objects("messages");
  if (!messages || messages.length === 0) throw fields.error("messages", "must be a list of at least one message");
  return messages.map(readMessage);
}

function readMessage(fields: JsonFields): Message {
  const role = fields.oneOf("role", ROLES);
  if (role === undefined) throw fields.error("role", `must be one of ${ROLES.join(", ")}`);
  const content = readTextContent(fields, "content", CHAT_PARTS);
  if (role === "assistant") return readAssistant(fields, content);
  const shown =
    role === "system" && content !== undefined ? withoutLine(content) : (content ?? noContent(fields, role));
  return { ...withoutNulls(fields.json), role: TEMPLATE_ROLES[role] ?? role, content: shown };
}

/** The content of a message that has none: empty for a tool without a result, as in engines. Throws invalid_request for other roles. */
function noContent(fields: JsonFields, role: string): string {
  if (role !== "tool" && role !== "function") throw fields.error("content", "must be a string or a list of parts");
  return "";
}

/** A system prompt without the billing line of a coding agent, which proxies pass on in this API too. */
function withoutLine(content: TextContent): TextContent {
  if (typeof content === "string") return withoutBillingLine(content);
  return content.map(({ type, text }) => ({ type, text: withoutBillingLine(text) }));
}

/** Roles that chat templates call otherwise. Some templates know `developer`, so that role is left to them. */
const TEMPLATE_ROLES: Readonly<Record<string, string>> = { function: "tool" };

function readAssistant(fields: JsonFields, content: unknown): Message {
  const calls = readCalls(fields);
  const { function_call: _deprecated, tool_calls: _asTheyCame, ...members } = withoutNulls(fields.json);
  for (const name of ["reasoning_content", "reasoning"]) fields.string(name);
  return { ...members, content: content ?? null, ...(calls ? { tool_calls: calls } : {}) };
}

function readCalls(fields: JsonFields): JsonObject[] | undefined {
  const deprecated = fields.object("function_call");
  if (deprecated)
    return [{ id: deprecated.requiredString("name"), type: "function", function: readCalled(deprecated) }];
  const calls = fields.objects("tool_calls");
  // Some templates take an empty list for a call.
  if (!calls || calls.length === 0) return undefined;
  return calls.map((call) => {
    const called = call.object("function");
    if (!called) throw call.error("function", "must be an object");
    return { ...call.json, type: "function", function: readCalled(called) };
  });
}

function readCalled(fields: JsonFields): JsonObject {
  return { name: fields.requiredString("name"), arguments: readCallArguments(fields) };
}

function withoutNulls(json: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null));
}
