import { parseWhole } from "../../parser/parse-whole.ts";
import type { ToolSpec } from "../../parser/output-parser.ts";
import { reasoningParserNamed, toolCallParserNamed } from "../../parser/parser-names.ts";
import { REASONING_PARSERS } from "../../parser/reasoning-parsers.ts";
import { TOOL_CALL_PARSERS } from "../../parser/tool-call-parsers.ts";
import { Fields } from "../../protocol/fields.ts";
import { wholeCall } from "../../protocol/openai/chat-writer.ts";
import type { Call, Route } from "../route.ts";
import { readJson } from "./json-request.ts";
import { jsonReply, type Reply } from "../../transport/downstream.ts";

/** Largest body. Answers of models have some hundred kB at most; the slowest parser takes a quarter of a second for this. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Tells calls and reasoning from the text of an answer that the client brings. */
export function parseRoutes(): Route[] {
  return [
    { method: "POST", path: "/parse/function_call", access: "serving", handle: parseCalls },
    { method: "POST", path: "/parse/reasoning", access: "serving", handle: parseReasoning },
  ];
}

/** `{text, tool_call_parser, tools}`. */
async function parseCalls(call: Call): Promise<Reply> {
  const fields = await fieldsOf(call);
  const text = textOf(fields);
  const toolCalls = parserIn(fields, "tool_call_parser", TOOL_CALL_PARSERS, toolCallParserNamed);
  const output = parseWhole(text, { toolCalls, tools: fields.objects("tools")?.map(toolOf) ?? [] });
  return jsonReply({
    remaining_text: output.content,
    tool_calls: output.toolCalls.map(wholeCall),
    success: true,
  });
}

/** `{text, reasoning_parser}`. */
async function parseReasoning(call: Call): Promise<Reply> {
  const fields = await fieldsOf(call);
  const text = textOf(fields);
  const reasoning = parserIn(fields, "reasoning_parser", REASONING_PARSERS, reasoningParserNamed);
  const output = parseWhole(text, { reasoning, tools: [] });
  return jsonReply({ normal_text: output.content, reasoning_text: output.reasoning, success: true });
}

async function fieldsOf({ request }: Call): Promise<Fields> {
  return new Fields(await readJson(request, MAX_BODY_BYTES), "");
}

function textOf(fields: Fields): string {
  const text = fields.string("text");
  if (text === undefined) throw fields.error("text", "must be a string");
  return text;
}

function parserIn<Name extends string>(
  fields: Fields,
  member: string,
  table: Readonly<Record<Name, unknown>>,
  named: (name: string) => Name | undefined,
): Name {
  // SGLang's member is the shorter one.
  const name = named(fields.string(member) ?? fields.string("parser") ?? "");
  if (name !== undefined) return name;
  throw fields.error(member, `must be one of ${Object.keys(table).join(", ")}`);
}

/** A tool as in a chat request, or its function alone. */
function toolOf(fields: Fields): ToolSpec {
  const declared = fields.object("function") ?? fields;
  return { name: declared.requiredString("name"), parameters: declared.object("parameters")?.json };
}
