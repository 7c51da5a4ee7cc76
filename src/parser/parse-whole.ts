import { createOutputParser, type OutputParserOptions } from "./create-output-parser.ts";
import { isJson } from "./json-value.ts";
import type { OutputPiece } from "./output-parser.ts";

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
