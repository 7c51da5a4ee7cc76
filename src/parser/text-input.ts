import type { MarkerSet } from "./marker-set.ts";

/** No unit is there yet, and more text may come. */
export const NEED = -2;
/** The text is over. */
const END = -1;

/** A reader that pauses (yields) where it needs more text. What it decides must not depend on where it paused. */
export type Step<Result> = Generator<undefined, Result, undefined>;

/**
 * Text that arrives in chunks and is consumed from the front. Only what no reader could decide on yet is kept: a few
 * units, never more than the longest marker. What was consumed since `record` can be had back, for what proves to be no
 * call. A surrogate pair is never seen in halves.
 */
export class TextInput {
  /** What has arrived and is not consumed stands from `at` on. */
  text = "";
  at = 0;
  isEnded = false;
  #half = "";
  #recorded: string | undefined;

  feed(chunk: string): void {
    let added = this.#half === "" ? chunk : this.#half + chunk;
    this.#half = "";
    if (isHighSurrogate(added.charCodeAt(added.length - 1))) {
      this.#half = added.slice(-1);
      added = added.slice(0, -1);
    }
    this.text = this.at >= this.text.length ? added : this.text.slice(this.at) + added;
    this.at = 0;
  }

  end(): void {
    if (this.#half !== "") this.text = this.text.slice(this.at) + this.#half;
    else if (this.at > 0) this.text = this.text.slice(this.at);
    this.#half = "";
    this.at = 0;
    this.isEnded = true;
  }

  get isDone(): boolean {
    return this.isEnded && this.at >= this.text.length;
  }

  /** The next code unit, NEED or END. */
  peek(): number {
    if (this.at < this.text.length) return this.text.charCodeAt(this.at);
    return this.isEnded ? END : NEED;
  }

  /** Consumes up to the index `end` of `text`. */
  takeTo(end: number): string {
    const taken = this.text.slice(this.at, end);
    this.at = end;
    if (this.#recorded !== undefined) this.#recorded += taken;
    return taken;
  }

  /** Consumes white space as far as it has arrived. */
  takeSpace(): string {
    let end = this.at;
    while (end < this.text.length && isSpace(this.text.charCodeAt(end))) end += 1;
    return end === this.at ? "" : this.takeTo(end);
  }

  /** Consumes what cannot be part of a marker, up to the next one. */
  takeText(markers: MarkerSet): string {
    const found = markers.find(this.text, this.at, this.text.length);
    if (!this.isEnded || found === this.text.length) return found === this.at ? "" : this.takeTo(found);
    // The text is over: the beginning of a marker is just text.
    return this.takeTo(markers.at(this.text, found, true) === "" ? this.text.length : found);
  }

  /** Begins a recording; `already` was consumed before and belongs to it. */
  record(already = ""): void {
    this.#recorded = already;
  }

  /** Ends the recording and gives it. */
  stopRecording(): string {
    const recorded = this.#recorded ?? "";
    this.#recorded = undefined;
    return recorded;
  }
}

/** White space as JSON has it. */
export function isSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
