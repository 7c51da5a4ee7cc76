import type { CallContext } from "./call-format.ts";
import type { MarkerPlan, MarkerRole } from "./marker-plan.ts";
import type { PieceWriter } from "./piece-writer.ts";
import { peekUnit, takeSpace, textUntil } from "./steps.ts";
import type { Step, TextInput } from "./text-input.ts";
import type { ToolTable } from "./tool-table.ts";

/**
 * Reads an answer that is plain text with marks in it:
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
  /** Closers that the last call may still have. */
  #closers: readonly string[] = [];
  /** A call came before the reasoning was closed. */
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
      if (role === "opener") {
        if (this.#plan.format?.rejects?.(marker, this.input.peek()) === true) this.writer.text(marker);
        else yield* this.#call(marker);
      } else if (role !== undefined) this.#mark(marker, role);
    }
  }

  /** Only a call before all text needs no opener. */
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
    if (rest !== "") this.writer.text(rest);
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
        else if (!this.#isReasoningOpen) writer.text(marker);
        this.#isReasoningOpen = false;
        return;
      case "wrapper":
        return writer.holdWrapper(marker);
      case "closer":
        if (!this.#closers.includes(marker)) return writer.text(marker);
        this.#closers = this.#closers.filter((closer) => closer !== marker);
        writer.dropSpace();
        return;
      case "stop":
        return writer.holdStop(marker);
      case "ignored":
    }
  }
}
