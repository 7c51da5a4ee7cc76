import { callsIn } from "../../parser/calls-in.ts";
import { promptOpensReasoning, reasoningParserFor, toolCallParserFor } from "../../parser/choose-parser.ts";
import type { OutputParserOptions } from "../../parser/create-output-parser.ts";
import { type ParserChoice, parserOf } from "../parser-choice.ts";
import type { DeclaredTool } from "../../parser/output-parser.ts";
import { REASONING_PARSERS, type ReasoningParserName } from "../../parser/reasoning-parsers.ts";
import { TOOL_CALL_PARSERS, type ToolCallParserName } from "../../parser/tool-call-parsers.ts";
import { isJsonObject, type JsonObject, objectField, stringField } from "../../protocol/json/json.ts";
import { type JsonBody, readJsonBody } from "../../protocol/json/json-body.ts";
import type { InferenceRequest } from "../router.ts";

/** Which answers of HTTP workers the gateway parses, because their engines return the model's text unparsed. */
export interface ParsedOutputSettings {
  readonly parsesOutput: (model: string) => boolean;
  /** By the model's name where the operator says nothing. */
  readonly toolCallParser: ParserChoice<ToolCallParserName>;
  readonly reasoningParser: ParserChoice<ReasoningParserName>;
}

export interface ParsedOutputDeps {
  /** undefined: all answers pass unchanged. */
  readonly parsedOutput: ParsedOutputSettings | undefined;
}

/** A request whose answer may be parsed by the gateway. */
export interface ParsedRequest extends InferenceRequest {
  /** The parser of the answer; without one the answer passes unchanged. */
  readonly parser?: OutputParserOptions;
}

/**
 * Adds the parser to a request whose model is in `parse_output`. If the parser needs special tokens, the engine is asked to keep
 * them in the text, unless the client has set that member.
 */
export async function withParser(request: InferenceRequest, settings: ParsedOutputSettings): Promise<ParsedRequest> {
  const model = request.record.model ?? "";
  if (!request.endpoint.canParseOutput || !settings.parsesOutput(model)) return request;
  const parser = parserFor(request.body, model, settings);
  if (!parser) return request;
  const isSaid = typeof request.body.value("skip_special_tokens") === "boolean";
  if (isSaid || !needsSpecialTokens(parser)) return { ...request, parser };
  const body = await readJsonBody(request.body.with(new Map([["skip_special_tokens", "false"]])));
  return { ...request, body, parser };
}

function parserFor(body: JsonBody, model: string, settings: ParsedOutputSettings): OutputParserOptions | undefined {
  const about = { modelId: model };
  const tools = body.value("tool_choice") === "none" ? [] : toolsOf(body);
  const toolCalls = tools.length > 0 ? parserOf(settings.toolCallParser, () => toolCallParserFor(about)) : undefined;
  const reasoning = separatesReasoning(body)
    ? parserOf(settings.reasoningParser, () => reasoningParserFor(about))
    : undefined;
  if (!toolCalls && !reasoning) return undefined;
  return {
    toolCalls,
    reasoning,
    tools,
    startsInReasoning: body.value("continue_final_message") === true ? goesOnReasoning(body, reasoning) : undefined,
    historyToolCalls:
      toolCalls && TOOL_CALL_PARSERS[toolCalls].format.callId ? callsIn(objectsIn(body, "messages")) : 0,
  };
}

function separatesReasoning(body: JsonBody): boolean {
  return (body.value("separate_reasoning") ?? body.value("include_reasoning") ?? true) !== false;
}

function needsSpecialTokens({ toolCalls, reasoning }: OutputParserOptions): boolean {
  return (
    (toolCalls !== undefined && TOOL_CALL_PARSERS[toolCalls].needsSpecialTokens) ||
    (reasoning !== undefined && REASONING_PARSERS[reasoning].needsSpecialTokens)
  );
}

/** The tools of a body. Entries that are not tools are skipped, because the engine judges the body. */
function toolsOf(body: JsonBody): DeclaredTool[] {
  return objectsIn(body, "tools").flatMap((tool) => {
    const declared = objectField(tool, "function");
    const name = declared && stringField(declared, "name");
    return name === undefined ? [] : [{ name, parameters: declared?.["parameters"] }];
  });
}

/** Whether a continued answer is still within reasoning: only if its beginning ends with the start of reasoning. */
function goesOnReasoning(body: JsonBody, reasoning: ReasoningParserName | undefined): boolean {
  const last = objectsIn(body, "messages").at(-1);
  const begun = last && stringField(last, "content");
  return reasoning !== undefined && begun !== undefined && promptOpensReasoning(reasoning, begun) === true;
}

function objectsIn(body: JsonBody, name: string): readonly JsonObject[] {
  const raw = body.raw(name);
  const value: unknown = raw && JSON.parse(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8"));
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
