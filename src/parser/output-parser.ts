import type { OutputPiece } from "../protocol/generation.ts";

/**
 * Takes the text of one answer apart: one instance for each choice of a request. Wherever the text is cut, the pieces put
 * together are the same. Never throws: what is no call comes out as content.
 */
export interface OutputParser {
  push(text: string): OutputPiece[];
  /** No more text comes. Gives what was held back. */
  end(): OutputPiece[];
}

/** What a parser has to know of a tool that the request declares. */
export interface DeclaredTool {
  readonly name: string;
  /** JSON schema of its arguments. */
  readonly parameters?: unknown;
}
