import { createOutputParser, type OutputParserOptions } from "./create-output-parser.ts";
import { isJson } from "./json-value.ts";
import type { OutputPiece } from "../protocol/generation.ts";

export interface WholeCall {
  readonly id: string;
  readonly name: string;
  /** The arguments as the model wrote them. */
  readonly arguments: string;
  /** Whether the arguments are valid JSON, neither cut off nor broken. */
  readonly isComplete: boolean;
}

export interface WholeOutput {
  readonly content: string;
  readonly reasoning: string;
  readonly toolCalls: readonly WholeCall[];
}

/** Parses a whole answer at once. */
export function parseWhole(text: string, options: OutputParserOptions): WholeOutput {
  const parser = createOutputParser(options);
  return joinPieces([...parser.push(text), ...parser.end()]);
}

/** UTF-16 units that are read before other requests get a turn. */
const STEP_CHARS = 16_384;

/** Parses a whole answer with pauses, so that other requests get turns. The result equals that of `parseWhole`. */
export async function parseInTurns(
  text: string,
  options: OutputParserOptions,
  pause: () => Promise<void>,
): Promise<WholeOutput> {
  const parser = createOutputParser(options);
  const pieces: OutputPiece[] = [];
  for (let from = 0; from < text.length; from += STEP_CHARS) {
    if (from > 0) await pause();
    for (const piece of parser.push(text.slice(from, from + STEP_CHARS))) pieces.push(piece);
  }
  for (const piece of parser.end()) pieces.push(piece);
  return joinPieces(pieces);
}

/** Joins the pieces of an answer. */
export function joinPieces(pieces: readonly OutputPiece[]): WholeOutput {
  let content = "";
  let reasoning = "";
  const calls: { id: string; name: string; arguments: string }[] = [];
  for (const piece of pieces) {
    if (piece.kind === "content") content += piece.text;
    else if (piece.kind === "reasoning") reasoning += piece.text;
    else if (piece.kind === "tool_call") calls.push({ id: piece.id, name: piece.name, arguments: "" });
    else {
      const call = calls[piece.index];
      if (call) call.arguments += piece.text;
    }
  }
  return { content, reasoning, toolCalls: calls.map((call) => ({ ...call, isComplete: isJson(call.arguments) })) };
}
