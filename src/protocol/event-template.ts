/** Members whose text is all that differs between most events of a stream. */
const MARKS = ['"content":"', '"text":"'] as const;
/** Longer texts are parsed: they are rare, and looking at each of their characters here costs more. */
const MAX_TEXT = 256;
/** Events in a row that fit no template before nothing more is learnt: that stream's events are all different. */
const MAX_MISSES = 32;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/**
 * Knows an event by the one before. JSON that is another JSON's with a different text between the same two quotes is JSON as
 * that one was and says the same but for this text: it need not be parsed to know what it means.
 */
export class EventTemplate {
  #before = "";
  #after = "";
  #misses = 0;

  /** True where the event is the last learnt one with another text. */
  fits(data: string): boolean {
    const from = this.#before.length;
    const to = data.length - this.#after.length;
    if (from === 0 || to < from || to - from > MAX_TEXT) return this.#miss();
    if (!data.startsWith(this.#before) || !data.endsWith(this.#after)) return this.#miss();
    for (let at = from; at < to; at += 1) {
      const code = data.charCodeAt(at);
      if (code === QUOTE || code === BACKSLASH || code < SPACE) return false;
    }
    this.#misses = 0;
    return true;
  }

  /** `data` is JSON, and what it means depends on the text after a mark in no way. */
  learn(data: string): void {
    if (this.#misses > MAX_MISSES) return;
    for (const mark of MARKS) {
      const at = data.indexOf(mark);
      if (at < 0) continue;
      const from = at + mark.length;
      const to = data.indexOf('"', from);
      // An escape before the quote: it may be one of the text.
      if (to < 0 || data.slice(from, to).includes("\\")) return;
      this.#before = data.slice(0, from);
      this.#after = data.slice(to);
      return;
    }
  }

  /** What follows may mean something else. */
  forget(): void {
    this.#before = "";
  }

  #miss(): false {
    this.#misses += 1;
    return false;
  }
}
