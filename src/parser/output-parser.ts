import type { OutputPiece } from "../protocol/generation.ts";

/**
 * Splits the text of one answer into content, reasoning and tool calls. Each choice of a request has its own instance. The
 * result does not depend on where the text is cut into chunks. It never throws: text that is not a call is content.
 */
export interface OutputParser {
  push(text: string): OutputPiece[];
  /** Ends the text. Returns the pieces that were held back. */
  end(): OutputPiece[];
}

/** A tool of the request, as far as a parser needs it. */
export interface DeclaredTool {
  readonly name: string;
  /** JSON schema of its arguments. */
  readonly parameters?: unknown;
}
