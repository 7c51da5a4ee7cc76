/** A piece of what the model said, in order. */
export type OutputPiece =
  | { readonly kind: "content"; readonly text: string }
  | { readonly kind: "reasoning"; readonly text: string }
  /** Begins a call. `index` counts the calls of the answer from 0. */
  | { readonly kind: "tool_call"; readonly index: number; readonly id: string; readonly name: string }
  /** The next fragment of the JSON arguments of the call with that index. */
  | { readonly kind: "tool_arguments"; readonly index: number; readonly text: string };

/**
 * Takes the text of one answer apart: one instance for each choice of a request. Wherever the text is cut, the pieces put
 * together are the same. Never throws: what is no call comes out as content.
 */
export interface OutputParser {
  push(text: string): OutputPiece[];
  /** No more text comes. Gives what was held back. */
  end(): OutputPiece[];
}

/** A tool that the request declares. */
export interface ToolSpec {
  readonly name: string;
  /** JSON schema of its arguments. */
  readonly parameters?: unknown;
}
