import { createOutputParser, type OutputParserOptions } from "./create-output-parser.ts";
import { isJson } from "./json-value.ts";
import type { OutputPiece } from "../protocol/generation.ts";

export interface WholeCall {
  readonly id: string;
  readonly name: string;
  /** As the model wrote them. */
  readonly arguments: string;
  /** The arguments are JSON: not cut off and not broken. */
  readonly isComplete: boolean;
}

export interface WholeOutput {
  readonly content: string;
  readonly reasoning: string;
  readonly toolCalls: readonly WholeCall[];
}

/** Takes a whole answer apart at once. */
export function parseWhole(text: string, options: OutputParserOptions): WholeOutput {
  const parser = createOutputParser(options);
  return joinPieces([...parser.push(text), ...parser.end()]);
}

/** UTF-16 units that are read before others have a turn. */
const STEP_CHARS = 16_384;

/** The same with a pause now and then: what a parser decides does not depend on where it is cut. */
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

/** The pieces of an answer put together. */
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
