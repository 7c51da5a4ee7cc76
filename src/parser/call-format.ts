import type { PieceWriter } from "./piece-writer.ts";
import type { Step, TextInput } from "./text-input.ts";
import type { ToolTable } from "./tool-table.ts";

/** What a reader of calls works with. */
export interface CallContext {
  readonly input: TextInput;
  readonly writer: PieceWriter;
  readonly tools: ToolTable;
  /** The format's own `isMarked`; false where no opener was needed. */
  readonly isMarked: boolean;
  /**
   * Begins a call, so that what was consumed up to here is no text any more. False, and nothing begun, where it can only
   * be text: a tool that nobody declared, in a format without markers or in the midst of reasoning.
   */
  begin(name: string): boolean;
}

/** How a family of models writes its calls into the text. */
export interface CallFormat {
  /** Stand around calls: nothing where a call or a closer follows, text else. */
  readonly wrappers?: readonly string[];
  /** Each begins a call. */
  readonly openers: readonly string[];
  /** Stand after a call, or close a wrapper or opener with nothing in it: nothing there, text elsewhere. */
  readonly closers?: readonly string[];
  /** Characters with which content that is a call begins, where no opener is needed at the beginning. */
  readonly beginsWith?: string;
  /** Tokens that are never text. */
  readonly ignored?: readonly string[];
  /**
   * Openers are text that models write for no other reason. Then a call to an undeclared tool is one, too, and a call to
   * a declared one ends reasoning that was not closed. Else only declared tools are called.
   */
  readonly isMarked: boolean;
  /** White space before a call belongs to the format. */
  readonly trimsBeforeCalls?: boolean;
  /**
   * Reads what follows an opener, which is "" where there was none. What it consumes and makes no call of (it is recorded)
   * comes out as text; after a call it says by `input.record()` from where on that is.
   */
  read(context: CallContext, opener: string): Step<void>;
  /** `read` would make nothing of an opener with this unit after it. A short cut for openers that are common in text. */
  rejects?(opener: string, next: number): boolean;
  /** The form of ids, where it is not the usual one. `number` counts the calls of the conversation from 0. */
  callId?(name: string, number: number): string;
}

/** A format whose text is channels or typed blocks throughout: reasoning, content and calls alike. */
export interface ChannelFormat {
  /** A prompt that ends in this has opened the reasoning. */
  readonly opensReasoning: string;
  /** Reads the whole answer. */
  readAll(context: ChannelContext): Step<void>;
  callId?(name: string, number: number): string;
}

export interface ChannelContext {
  readonly input: TextInput;
  readonly writer: PieceWriter;
  readonly tools: ToolTable;
  /** Reasoning is told from content. */
  readonly hasReasoning: boolean;
  /** Calls are told from content. */
  readonly hasCalls: boolean;
  readonly startsInReasoning: boolean;
}
