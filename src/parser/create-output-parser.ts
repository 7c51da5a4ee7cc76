import type { CallFormat, ChannelFormat } from "./call-format.ts";
import { createMarkerPlan, type MarkerPlan } from "./marker-plan.ts";
import type { OutputPiece } from "../protocol/generation.ts";
import type { DeclaredTool, OutputParser } from "./output-parser.ts";
import { PieceWriter } from "./piece-writer.ts";
import { REASONING_PARSERS, type ReasoningParserName } from "./reasoning-parsers.ts";
import { TextFlow } from "./text-flow.ts";
import { type Step, TextInput } from "./text-input.ts";
import { TOOL_CALL_PARSERS, type ToolCallParserName } from "./tool-call-parsers.ts";
import { ToolTable } from "./tool-table.ts";

export interface OutputParserOptions {
  /** Without it, reasoning stays in the content. */
  readonly reasoning?: ReasoningParserName | undefined;
  /** Without it, calls stay in the content. */
  readonly toolCalls?: ToolCallParserName | undefined;
  readonly tools: readonly DeclaredTool[];
  /** Whether the prompt has already opened the reasoning. The default is the family's. */
  readonly startsInReasoning?: boolean | undefined;
  /** Makes the ids of calls, where the family has no form of its own. The default is `call_` and 24 hexadecimal digits. */
  readonly newCallId?: (() => string) | undefined;
  /** Number of calls earlier in the conversation. Families that number their calls continue from it. */
  readonly historyToolCalls?: number | undefined;
}

/** Makes a parser for one answer. It is cheap: parsers of the same formats share everything that does not change. */
export function createOutputParser(options: OutputParserOptions): OutputParser {
  const input = new TextInput();
  const calls = options.toolCalls && TOOL_CALL_PARSERS[options.toolCalls].format;
  const writer = new PieceWriter({
    callId: callIds(options, calls),
    trimsBeforeCalls: calls !== undefined && !isChannels(calls) && calls.trimsBeforeCalls === true,
  });
  return new SteppedParser(input, writer, readerFor(options, input, writer));
}

class SteppedParser implements OutputParser {
  readonly #input: TextInput;
  readonly #writer: PieceWriter;
  readonly #reader: Step<void>;

  constructor(input: TextInput, writer: PieceWriter, reader: Step<void>) {
    this.#input = input;
    this.#writer = writer;
    this.#reader = reader;
  }

  push(text: string): OutputPiece[] {
    if (text === "" || this.#input.isEnded) return [];
    this.#input.feed(text);
    this.#reader.next();
    return this.#writer.drain();
  }

  end(): OutputPiece[] {
    if (this.#input.isEnded) return [];
    this.#input.end();
    this.#reader.next();
    this.#writer.end();
    return this.#writer.drain();
  }
}

function readerFor(options: OutputParserOptions, input: TextInput, writer: PieceWriter): Step<void> {
  const { reasoning, toolCalls } = options;
  const tools = new ToolTable(options.tools);
  const row = reasoning && REASONING_PARSERS[reasoning];
  const calls = toolCalls && TOOL_CALL_PARSERS[toolCalls].format;
  const startsInReasoning = options.startsInReasoning ?? row?.startsInReasoning ?? false;
  // A channel format has both reasoning and calls; it must be read once.
  const channels = [calls, row?.format].find((format) => format !== undefined && isChannels(format));
  if (channels !== undefined && isChannels(channels)) {
    const hasReasoning = row !== undefined;
    return channels.readAll({ input, writer, tools, hasReasoning, hasCalls: calls === channels, startsInReasoning });
  }
  if (startsInReasoning && row) writer.beginReasoning();
  return new TextFlow(input, writer, tools, planFor(reasoning, toolCalls)).run();
}

const plans = new Map<string, MarkerPlan>();

function planFor(reasoning: ReasoningParserName | undefined, toolCalls: ToolCallParserName | undefined): MarkerPlan {
  const key = `${reasoning ?? ""}/${toolCalls ?? ""}`;
  const known = plans.get(key);
  if (known) return known;
  const reasoningRow = reasoning && REASONING_PARSERS[reasoning];
  const callRow = toolCalls && TOOL_CALL_PARSERS[toolCalls];
  const marks = reasoningRow && !isChannels(reasoningRow.format) ? reasoningRow.format : undefined;
  const format = callRow && !isChannels(callRow.format) ? callRow.format : undefined;
  const stopTokens = [...(reasoningRow?.stopTokens ?? []), ...(callRow?.stopTokens ?? [])];
  const plan = createMarkerPlan(marks, format, stopTokens);
  plans.set(key, plan);
  return plan;
}

function callIds(
  { newCallId = randomCallId, historyToolCalls = 0 }: OutputParserOptions,
  format: CallFormat | ChannelFormat | undefined,
): (name: string, index: number) => string {
  if (format?.callId === undefined) return newCallId;
  return (name, index) => format.callId?.(name, historyToolCalls + index) ?? newCallId();
}

function randomCallId(): string {
  return `call_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`;
}

function isChannels(format: object): format is ChannelFormat {
  return "readAll" in format;
}
