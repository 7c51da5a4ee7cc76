/**
 * What a publisher is asked for:
 * - `check`: the last batch that was taken in, and all after it. It shows whether the publisher is still the same process.
 * - `gap`: the batches that are missing.
 * - `whole`: all batches. What is known stays until the answer begins, and ends only if it begins with the first one.
 */
export type QuestionKind = "check" | "gap" | "whole";

/** A question for batches that were published before, and what its answer has shown so far. */
export class ReplayQuestion {
  readonly kind: QuestionKind;
  /** Number of the batch that was waited for when it was asked; 0 once the answer has begun anew. */
  next: number;
  readonly #lastBatch: number | bigint;
  #last = -1;
  #isOther = false;

  /** `lastBatch`: hash of the batch before `next`. */
  constructor(kind: QuestionKind, next: number, lastBatch: number | bigint) {
    this.kind = kind;
    this.next = next;
    this.#lastBatch = lastBatch;
  }

  /** Number of the first batch that is wanted. */
  get from(): number {
    if (this.kind === "whole") return 0;
    return this.kind === "gap" ? this.next : Math.max(0, this.next - 1);
  }

  /** Whether no batch of the answer has come. */
  get isUnanswered(): boolean {
    return this.#last < 0;
  }

  /** Whether the answer shows another process: the last batch is another one now, or is not there. */
  get isOfOther(): boolean {
    return this.#isOther || (this.isUnanswered && this.kind !== "gap" && this.next > 0);
  }

  /** Takes note of a batch. False for one that is none of the answer: an answer counts up. */
  accepts(sequence: number, payload: Uint8Array): boolean {
    if (sequence <= this.#last) return false;
    if (this.isUnanswered && this.kind === "check")
      this.#isOther = sequence === this.next - 1 && Bun.hash(payload) !== this.#lastBatch;
    this.#last = sequence;
    return true;
  }
}
