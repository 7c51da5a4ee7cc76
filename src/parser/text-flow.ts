import type { CallContext } from "./call-format.ts";
import type { MarkerSet } from "./marker-set.ts";
import type { MarkerPlan, MarkerRole } from "./marker-plan.ts";
import type { PieceWriter } from "./piece-writer.ts";
import { markerHere, peekUnit, takeMarker, takeSpace, textUntil } from "./steps.ts";
import type { Step, TextInput } from "./text-input.ts";
import type { ToolTable } from "./tool-table.ts";
import { LF } from "../util/ascii.ts";

/**
 * Reads an answer that is plain text with markers in it:
 *
 *   content --reasoning start--> reasoning --reasoning end--> content
 *      |                            |
 *      +---------- opener ----------+--> call --> content
 */
export class TextFlow implements CallContext {
  readonly input: TextInput;
  readonly writer: PieceWriter;
  readonly tools: ToolTable;
  isMarked = false;
  readonly #plan: MarkerPlan;
  /** Closers that may still follow the last call. */
  #closers: readonly string[] = [];
  /** A call began before the reasoning was closed. */
  #isReasoningOpen = false;

  constructor(input: TextInput, writer: PieceWriter, tools: ToolTable, plan: MarkerPlan) {
    this.input = input;
    this.writer = writer;
    this.tools = tools;
    this.#plan = plan;
  }

  begin(name: string): boolean {
    if ((!this.isMarked || this.writer.isReasoning) && !this.tools.has(name)) return false;
    if (this.writer.isReasoning) this.#isReasoningOpen = true;
    this.#closers = this.#plan.format?.closers ?? [];
    this.input.stopRecording();
    this.writer.beginCall(name);
    return true;
  }

  *run(): Step<void> {
    for (;;) {
      if (this.#canBeginWithCall()) yield* this.#beginning();
      const markers = this.writer.isReasoning ? this.#plan.inReasoning : this.#plan.inContent;
      const marker = yield* textUntil(this.input, markers, this.writer.text);
      if (marker === undefined) return;
      const role = this.#plan.roles.get(marker);
      if (role === "opener") yield* this.#call(marker);
      else if (role !== undefined) {
        const wasReasoning = this.writer.isReasoning;
        this.#mark(marker, role);
        if (this.#plan.label && this.writer.isReasoning && !wasReasoning) yield* this.#skipLabel(this.#plan.label);
      }
    }
  }

  /** Whether a call may begin without an opener: only before any text. */
  #canBeginWithCall(): boolean {
    const { writer } = this;
    return (
      this.#plan.format?.beginsWith !== undefined && !writer.isReasoning && !writer.hasContent && writer.calls === 0
    );
  }

  *#beginning(): Step<void> {
    this.writer.text(yield* takeSpace(this.input));
    const unit = yield* peekUnit(this.input);
    if (unit >= 0 && this.#plan.format?.beginsWith?.includes(String.fromCharCode(unit)) === true) yield* this.#call("");
  }

  *#call(opener: string): Step<void> {
    const { format } = this.#plan;
    if (format === undefined) return;
    this.isMarked = format.isMarked && opener !== "";
    this.input.record(opener);
    yield* format.read(this, opener);
    const rest = this.input.stopRecording();
    if (rest === "") return;
    if (this.isMarked && isEmptySection(rest, opener)) this.writer.holdWrapper(rest);
    else this.writer.text(rest);
  }

  /** Consumes the label of the reasoning, if it is the whole line or the whole reasoning. */
  *#skipLabel(label: MarkerSet): Step<void> {
    const { input } = this;
    input.hold();
    if ((yield* takeMarker(input, label)) === undefined) return input.rewind();
    if ((yield* peekUnit(input)) === LF) input.takeTo(input.at + 1);
    else if (!input.isDone && (yield* markerHere(input, this.#plan.inReasoning)) === undefined) return input.rewind();
    input.release();
  }

  #mark(marker: string, role: Exclude<MarkerRole, "opener">): void {
    const { writer } = this;
    switch (role) {
      case "reasoning start":
        if (!writer.isReasoning) writer.beginReasoning();
        else if (!writer.dropSpace()) writer.text(marker);
        return;
      case "reasoning end":
        if (writer.isReasoning) writer.endReasoning();
        else if (!this.#isReasoningOpen && this.#plan.marks?.areSpecial !== true) writer.text(marker);
        this.#isReasoningOpen = false;
        return;
      case "wrapper":
        return writer.holdWrapper(marker);
      case "closer":
        if (writer.dropWrapper()) return;
        // Models repeat closers.
        if (!this.#closers.includes(marker) && !(writer.isAfterCall && writer.dropSpace())) return writer.text(marker);
        this.#closers = this.#closers.filter((closer) => closer !== marker);
        writer.dropSpace();
        return;
      case "stop":
        return writer.holdStop(marker);
      case "ignored":
    }
  }
}

/** An opener that is a whole tag, without a call after it: its closer drops both. */
function isEmptySection(text: string, opener: string): boolean {
  return opener.endsWith(">") && /^\s*(?:\[\s*\]\s*)?$/.test(text.slice(opener.length));
}
