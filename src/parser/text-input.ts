import type { MarkerSet } from "./marker-set.ts";

/** More text may come, but no unit has arrived yet. */
export const NEED = -2;
/** The text is over. */
const END = -1;

/** A reader that yields when it needs more text. Its decisions must not depend on where it paused. */
export type Step<Result> = Generator<undefined, Result, undefined>;

/**
 * Text that arrives in chunks and is consumed from the front. It keeps only text that no reader could decide on yet: a few
 * units, at most as many as the longest marker. Text consumed since `record` is kept too, because it may prove to be no
 * call. Readers never see half of a surrogate pair.
 */
export class TextInput {
  /** The text that has arrived; from index `at` on it is not consumed yet. */
  text = "";
  at = 0;
  isEnded = false;
  #half = "";
  #recorded: string | undefined;
  /** Text of a part within the recording. Cutting it out of the recording would copy the whole recording each time. */
  #part: string | undefined;
  /** `rewind` goes back to this index; -1 where nothing is held. */
  #heldFrom = -1;
  #recordedBefore: string | undefined;
  #partBefore: string | undefined;

  feed(chunk: string): void {
    let added = this.#half === "" ? chunk : this.#half + chunk;
    this.#half = "";
    if (isHighSurrogate(added.charCodeAt(added.length - 1))) {
      this.#half = added.slice(-1);
      added = added.slice(0, -1);
    }
    this.#append(added);
  }

  end(): void {
    this.#append(this.#half);
    this.#half = "";
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
    if (this.#part !== undefined) this.#part += taken;
    return taken;
  }

  /** Consumes white space as far as it has arrived. */
  takeSpace(): string {
    let end = this.at;
    while (end < this.text.length && isSpace(this.text.charCodeAt(end))) end += 1;
    return end === this.at ? "" : this.takeTo(end);
  }

  /** Consumes text that cannot be part of a marker, up to the next marker. */
  takeText(markers: MarkerSet): string {
    let end = markers.find(this.text, this.at, this.text.length);
    if (this.isEnded && end < this.text.length) end = this.textEnd(markers);
    return end === this.at ? "" : this.takeTo(end);
  }

  /** Index of the next marker, or of the beginning of a possible one. */
  textEnd(markers: MarkerSet): number {
    const found = markers.find(this.text, this.at, this.text.length);
    if (!this.isEnded || found === this.text.length) return found;
    // The text is over, so the beginning of a marker is text.
    return markers.at(this.text, found, true) === "" ? this.text.length : found;
  }

  /** From here on readers only look ahead, until `release` or `rewind`. All units in between are kept, so hold for a few only. */
  hold(): void {
    this.#heldFrom = this.at;
    this.#recordedBefore = this.#recorded;
    this.#partBefore = this.#part;
  }

  release(): void {
    this.#heldFrom = -1;
  }

  /** Goes back to the place of `hold`. */
  rewind(): void {
    this.at = this.#heldFrom;
    this.#heldFrom = -1;
    this.#recorded = this.#recordedBefore;
    this.#part = this.#partBefore;
  }

  /** Begins a recording; `already` is consumed text that belongs to it. */
  record(already = ""): void {
    this.#recorded = already;
  }

  /** Begins to keep the text of a part by itself. */
  recordPart(): void {
    this.#part = "";
  }

  /** Returns the text since `recordPart`, and keeps it no longer. */
  stopPart(): string {
    const part = this.#part ?? "";
    this.#part = undefined;
    return part;
  }

  /** Ends the recording and returns it. */
  stopRecording(): string {
    const recorded = this.#recorded ?? "";
    this.#recorded = undefined;
    return recorded;
  }

  #append(added: string): void {
    if (this.#heldFrom >= 0) {
      this.text = this.text.slice(this.#heldFrom) + added;
      this.at -= this.#heldFrom;
      this.#heldFrom = 0;
    } else {
      this.text = this.at >= this.text.length ? added : this.text.slice(this.at) + added;
      this.at = 0;
    }
  }
}

/** Whether the unit is white space in JSON. */
export function isSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
