import type { OutputPiece } from "../protocol/generation.ts";

interface PieceWriterOptions {
  /** Makes the id of a call by its tool's name and its index in the answer. */
  readonly callId: (name: string, index: number) => string;
  /** White space before a call is part of the format, not of the content. */
  readonly trimsBeforeCalls: boolean;
}

/**
 * Collects the pieces of an answer and joins neighbours of one kind. It holds white space at the beginning, and markers that
 * may be the wrapping of a call, until it knows what follows: text releases them, a call drops them.
 */
export class PieceWriter {
  isReasoning = false;
  /** Number of calls that have begun. */
  calls = 0;
  /** Only white space has come since the last call. */
  isAfterCall = false;
  /** Content has come out. */
  hasContent = false;
  readonly #options: PieceWriterOptions;
  #pieces: OutputPiece[] = [];
  #kind: "content" | "reasoning" | "tool_arguments" = "content";
  #open = "";
  #holds = true;
  #held = "";
  /** The part of the held text that comes out if nothing follows. */
  #shown = "";
  /** The state of holding before the wrapper that is held now. */
  #beforeWrapper: { readonly held: string; readonly shown: string; readonly holds: boolean } | undefined;

  constructor(options: PieceWriterOptions) {
    this.#options = options;
  }

  /** Writes content or reasoning, whichever the model is in. */
  readonly text = (text: string): void => {
    let from = 0;
    if (this.#holds) {
      from = leadingSpace(text);
      this.#holdText(from === text.length ? text : text.slice(0, from));
      if (from === text.length) return;
    }
    let end = text.length;
    if (this.#options.trimsBeforeCalls && !this.isReasoning) end = trailingSpaceStart(text, from);
    const shown = from === 0 && end === text.length ? text : text.slice(from, end);
    if (this.#held !== "") this.#releaseAnd(shown);
    else this.#write(shown);
    this.#holds = end < text.length;
    if (this.#holds) this.#holdText(text.slice(end));
  };

  /** Holds the wrapper of a call; it becomes text if no call follows. */
  holdWrapper(marker: string): void {
    this.#beforeWrapper ??= { held: this.#held, shown: this.#shown, holds: this.#holds };
    this.#holds = true;
    this.#holdText(marker);
  }

  /** Holds a token that ends the answer; it becomes text if more text follows. */
  holdStop(token: string): void {
    this.#holds = true;
    this.#held += token;
  }

  beginReasoning(): void {
    if (this.#shown.trim() !== "") this.#write(this.#shown);
    this.#clearHeld();
    this.isReasoning = true;
  }

  endReasoning(): void {
    if (this.#held !== "") this.#write(this.#held);
    this.#clearHeld();
    this.isReasoning = false;
  }

  /** Drops the held wrapper, which closes without a call. Returns false if none is held. */
  dropWrapper(): boolean {
    if (this.#beforeWrapper === undefined) return false;
    ({ held: this.#held, shown: this.#shown, holds: this.#holds } = this.#beforeWrapper);
    this.#beforeWrapper = undefined;
    return true;
  }

  /** Drops held white space. Returns false if more than white space is held. */
  dropSpace(): boolean {
    if (!this.#holds || this.#held.trim() !== "") return false;
    this.#clearHeld();
    return true;
  }

  beginCall(name: string): void {
    this.isReasoning = false;
    this.#clearHeld();
    this.#flush();
    this.isAfterCall = true;
    const index = this.calls;
    this.calls += 1;
    this.#pieces.push({ kind: "tool_call", index, id: this.#options.callId(name, index), name });
  }

  /** Writes the next fragment of the last call's arguments. */
  readonly arguments = (text: string): void => {
    if (text === "") return;
    if (this.#kind !== "tool_arguments") this.#flush();
    this.#kind = "tool_arguments";
    this.#open += text;
  };

  end(): void {
    const isSeen = this.isReasoning || this.calls === 0 || this.#shown.trim() !== "";
    if (isSeen && this.#shown !== "") this.#write(this.#shown);
    this.#clearHeld();
  }

  /** The pieces since the last call of `drain`. */
  drain(): OutputPiece[] {
    this.#flush();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  #write(text: string): void {
    const kind = this.isReasoning ? "reasoning" : "content";
    if (kind !== this.#kind) this.#flush();
    this.#kind = kind;
    this.#open += text;
    this.isAfterCall = false;
    if (kind === "content") this.hasContent = true;
  }

  #releaseAnd(text: string): void {
    const held = this.#held;
    this.#held = "";
    this.#shown = "";
    this.#beforeWrapper = undefined;
    this.#write(held + text);
  }

  #holdText(text: string): void {
    this.#held += text;
    this.#shown += text;
  }

  #clearHeld(): void {
    this.#held = "";
    this.#shown = "";
    this.#beforeWrapper = undefined;
    this.#holds = true;
  }

  #flush(): void {
    const text = this.#open;
    if (text === "") return;
    this.#open = "";
    const kind = this.#kind;
    this.#pieces.push(kind === "tool_arguments" ? { kind, index: this.calls - 1, text } : { kind, text });
  }
}

function leadingSpace(text: string): number {
  let at = 0;
  while (at < text.length && isAnySpace(text.charCodeAt(at))) at += 1;
  return at;
}

function trailingSpaceStart(text: string, from: number): number {
  let end = text.length;
  while (end > from && isAnySpace(text.charCodeAt(end - 1))) end -= 1;
  return end;
}

function isAnySpace(unit: number): boolean {
  return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d);
}
