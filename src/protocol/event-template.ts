import { BACKSLASH, QUOTE, SPACE } from "../util/ascii.ts";

/** Members whose text is all that differs between most events of a stream. */
const MARKS = ['"content":"', '"text":"'] as const;
/** Longer texts are parsed: they are rare, and looking at each of their bytes here costs more. */
const MAX_TEXT = 256;
/** Events that were parsed in a row before nothing more is learnt: that stream's events are all different. */
const MAX_MISSES = 32;

const NO_BYTES = new DataView(new ArrayBuffer(0));

/**
 * Knows an event by the one before, by its bytes. JSON that is another JSON's with a different text between the same two
 * quotes is JSON as that one was and says the same but for this text: it need not be parsed to know what it means, nor be
 * looked through for where it ends.
 */
export class EventTemplate {
  /** What stands before the text, and behind it: in one array, as a stream's memory is cold when its next event comes. */
  #around: DataView = NO_BYTES;
  #split = 0;
  #misses = 0;

  /** Where the event ends that begins at `from`, if it is the last learnt one with another text; else -1. */
  endOf(bytes: DataView, from: number, to: number): number {
    const around = this.#around;
    const split = this.#split;
    const after = around.byteLength - split;
    let at = from + split;
    if (split === 0 || at + after > to || !isSame(bytes, from, around, 0, split)) return -1;
    const last = Math.min(to - after, at + MAX_TEXT);
    for (let byte = bytes.getUint8(at); byte !== QUOTE; byte = bytes.getUint8(at)) {
      if (byte === BACKSLASH || byte < SPACE || at >= last) return -1;
      at += 1;
    }
    if (at > last || !isSame(bytes, at, around, split, after)) return -1;
    this.#misses = 0;
    return at + after;
  }

  /** `data` is JSON, and what it means depends on the text after a mark in no way. */
  learn(data: string): void {
    this.#misses += 1;
    if (this.#misses > MAX_MISSES) return;
    for (const mark of MARKS) {
      const at = data.indexOf(mark);
      if (at < 0) continue;
      const from = at + mark.length;
      const to = data.indexOf('"', from);
      // An escape before the quote: it may be one of the text.
      if (to < 0 || data.slice(from, to).includes("\\")) return;
      const around = new TextEncoder().encode(`data: ${data.slice(0, from)}${data.slice(to)}\n\n`);
      this.#around = new DataView(around.buffer, 0, around.length);
      this.#split = Buffer.byteLength(data.slice(0, from)) + "data: ".length;
      return;
    }
  }

  /** What follows may mean something else. */
  forget(): void {
    this.#split = 0;
  }
}

/** Four bytes at a time: most of an event is looked at here, and byte by byte takes twice as long. */
function isSame(bytes: DataView, start: number, others: DataView, othersStart: number, length: number): boolean {
  let index = 0;
  for (; index + 4 <= length; index += 4)
    if (bytes.getInt32(start + index, true) !== others.getInt32(othersStart + index, true)) return false;
  for (; index < length; index += 1)
    if (bytes.getUint8(start + index) !== others.getUint8(othersStart + index)) return false;
  return true;
}
