import { callsIn } from "../../parser/calls-in.ts";
import type { OutputParserOptions } from "../../parser/create-output-parser.ts";
import { promptOpensReasoning } from "../../parser/choose-parser.ts";
import { REASONING_PARSERS } from "../../parser/reasoning-parsers.ts";
import { TOOL_CALL_PARSERS, type ToolCallParserName } from "../../parser/tool-call-parsers.ts";
import type { ChatPrompt, GenerationRequest } from "../../protocol/generation.ts";
import { StopStrings } from "../../tokenizer/decode/stop-strings.ts";
import type { AssemblySettings } from "./answer-assembler.ts";
import type { ModelText } from "./model-text.ts";
import type { EncodedPrompt } from "./prompt-encoder.ts";

/** The settings that turn the tokens of a request's answers into parts for its API. */
export function assemblySettings(request: GenerationRequest, text: ModelText): AssemblySettings {
  const parser = parserOptions(request, text);
  const rows = parser ? rowsOf(parser) : [];
  const parsed = new Set(rows.flatMap(({ stopTokens }) => stopTokens));
  return {
    tokenizer: text.tokenizer,
    request,
    stops: new StopStrings(request.stop),
    endTokens: endTokens(request, text, parsed),
    keepsSpecialTokens: rows.some(({ needsSpecialTokens }) => needsSpecialTokens),
    parser,
  };
}

/** The parser for the answers. Only chats are answered in the model's own form. */
function parserOptions(request: GenerationRequest, text: ModelText): OutputParserOptions | undefined {
  const [prompt] = request.prompts;
  if (prompt?.kind !== "chat") return undefined;
  const toolCalls = toolCallParser(request, prompt.chat, text);
  const isForced = request.toolChoice.kind === "required" || request.toolChoice.kind === "function";
  // An engine that is constrained to JSON from the first token does not reason before.
  const reasoning = request.separateReasoning && !isForced ? text.reasoningParser : undefined;
  if (!toolCalls && !reasoning) return undefined;
  return {
    toolCalls,
    reasoning,
    tools: toolsOf(request, prompt.chat),
    historyToolCalls: callsIn(prompt.chat.messages),
  };
}

function toolCallParser(
  { toolChoice }: GenerationRequest,
  { tools }: ChatPrompt,
  text: ModelText,
): ToolCallParserName | undefined {
  switch (toolChoice.kind) {
    case "required":
      return "json_array";
    case "function":
      return "json_object";
    case "none":
      return undefined;
    case "auto":
      return tools && tools.length > 0 ? text.toolCallParser : undefined;
  }
}

function toolsOf({ toolChoice }: GenerationRequest, { tools = [] }: ChatPrompt): OutputParserOptions["tools"] {
  return toolChoice.kind === "function" ? tools.filter(({ name }) => name === toolChoice.name) : tools;
}

function rowsOf({ toolCalls, reasoning }: OutputParserOptions): {
  readonly needsSpecialTokens: boolean;
  readonly stopTokens: readonly string[];
}[] {
  return [...(toolCalls ? [TOOL_CALL_PARSERS[toolCalls]] : []), ...(reasoning ? [REASONING_PARSERS[reasoning]] : [])];
}

/** Tokens that end an answer, without those that the parser needs: in some families they end a call. */
function endTokens(
  request: GenerationRequest,
  { tokenizer }: ModelText,
  parsed: ReadonlySet<string>,
): ReadonlySet<number> {
  const own = request.ignoreEos ? [] : tokenizer.eosTokenIds;
  return new Set([...own, ...request.stopTokenIds].filter((id) => !parsed.has(tokenizer.tokenOf(id) ?? "")));
}

/** Whether an answer begins within reasoning, by its prompt; undefined where the family decides. */
export function startsInReasoning({ parser }: AssemblySettings, prompt: EncodedPrompt): boolean | undefined {
  if (prompt.startsInReasoning) return true;
  return parser?.reasoning === undefined ? undefined : promptOpensReasoning(parser.reasoning, prompt.text);
}
