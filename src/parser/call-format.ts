import type { PieceWriter } from "./piece-writer.ts";
import type { Step, TextInput } from "./text-input.ts";
import type { ToolTable } from "./tool-table.ts";

/** The input, the output and the tools that a reader of calls works with. */
export interface CallContext {
  readonly input: TextInput;
  readonly writer: PieceWriter;
  readonly tools: ToolTable;
  /** The format's `isMarked`; false where the call began without an opener. */
  readonly isMarked: boolean;
  /**
   * Begins a call: the text that was consumed so far is no longer content. Returns false, and begins nothing, where the text
   * cannot be a call: the request does not declare the tool, and the format has no markers or the model is reasoning.
   */
  begin(name: string): boolean;
}

/** How a family of models writes tool calls into its text. */
export interface CallFormat {
  /** Markers around calls. A wrapper is dropped where a call or a closer follows, and is text elsewhere. */
  readonly wrappers?: readonly string[];
  /** Markers that each begin a call. */
  readonly openers: readonly string[];
  /** Markers after a call, or after an empty wrapper or opener. A closer is dropped there, and is text elsewhere. */
  readonly closers?: readonly string[];
  /** First characters of an answer that is a call without an opener. */
  readonly beginsWith?: string;
  /** Tokens that are dropped everywhere. */
  readonly ignored?: readonly string[];
  /**
   * Models write the openers only to begin a call. Then a call to an undeclared tool also counts as a call, and a call to a
   * declared tool ends reasoning that was not closed. Otherwise only declared tools can be called.
   */
  readonly isMarked: boolean;
  /** White space before a call is part of the format, not of the content. */
  readonly trimsBeforeCalls?: boolean;
  /**
   * Reads the text after an opener; `opener` is "" where there was none. The input records what this consumes. Text that
   * becomes no call comes out as content. After a call, `read` calls `input.record()` to mark where such text begins.
   */
  read(context: CallContext, opener: string): Step<void>;
  /**
   * Index up to which the opener at index `at` and what follows it are no call, as the text shows that has arrived; `at` where they may be one.
   * A short cut for openers that are common in text: `read` would give the same text, at many times the cost.
   */
  plainTo?(text: string, at: number): number;
  /** Makes the id of a call, where the family has its own form. `number` counts the calls of the conversation from 0. */
  callId?(name: string, number: number): string;
}

/** A format in which reasoning, content and calls are all channels or typed blocks. */
export interface ChannelFormat {
  /** A prompt that ends with this text has opened the reasoning. */
  readonly opensReasoning: string;
  /** Reads the whole answer. */
  readAll(context: ChannelContext): Step<void>;
  callId?(name: string, number: number): string;
}

export interface ChannelContext {
  readonly input: TextInput;
  readonly writer: PieceWriter;
  readonly tools: ToolTable;
  /** The request wants reasoning apart from content. */
  readonly hasReasoning: boolean;
  /** The request wants calls apart from content. */
  readonly hasCalls: boolean;
  readonly startsInReasoning: boolean;
}
