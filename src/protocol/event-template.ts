import { BACKSLASH, QUOTE, SPACE } from "../util/ascii.ts";

/** What stands before the text of a token. Most events of a stream differ in this text only. */
const MARKS = ['"content":"', '"text":"'] as const;
/** An event with a longer text is parsed. Such texts are rare, and parsing costs less than looking at each of their bytes here. */
const MAX_TEXT = 256;
/** After so many parsed events in a row the template learns no more: the events of such a stream are all different. */
const MAX_MISSES = 32;

const NO_BYTES = new DataView(new ArrayBuffer(0));

/**
 * Recognises an event that has the bytes of an earlier one, with another text between the same two quotes. Such an event is
 * JSON, as the earlier one was, and means the same except for its text. So nobody has to parse it or to search for its end.
 */
export class EventTemplate {
  /** The bytes before the text and those behind it. They are in one array, as a stream's memory is cold when its next event comes. */
  #around: DataView = NO_BYTES;
  #split = 0;
  #misses = 0;

  /** Index behind the event that begins at `from`, where it is the learnt one with another text; else -1. */
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

  /** Learns an event. `data` must be JSON whose meaning does not depend on the text behind a mark. */
  learn(data: string): void {
    this.#misses += 1;
    if (this.#misses > MAX_MISSES) return;
    for (const mark of MARKS) {
      const at = data.indexOf(mark);
      if (at < 0) continue;
      const from = at + mark.length;
      const to = data.indexOf('"', from);
      // The quote may be part of the text where an escape stands before it.
      if (to < 0 || data.slice(from, to).includes("\\")) return;
      const around = new TextEncoder().encode(`data: ${data.slice(0, from)}${data.slice(to)}\n\n`);
      this.#around = new DataView(around.buffer, 0, around.length);
      this.#split = Buffer.byteLength(data.slice(0, from)) + "data: ".length;
      return;
    }
  }

  /** Forgets the learnt event, as the next events may mean something else. */
  forget(): void {
    this.#split = 0;
  }
}

/** Compares four bytes at a time. Most bytes of an event are compared here, and byte by byte takes twice as long. */
function isSame(bytes: DataView, start: number, others: DataView, othersStart: number, length: number): boolean {
  let index = 0;
  for (; index + 4 <= length; index += 4)
    if (bytes.getInt32(start + index, true) !== others.getInt32(othersStart + index, true)) return false;
  for (; index < length; index += 1)
    if (bytes.getUint8(start + index) !== others.getUint8(othersStart + index)) return false;
  return true;
}
