import type { Step, TextInput } from "./text-input.ts";

/**
 * Consumes text from an opening bracket to the matching closing one, and returns it. Brackets in Python or JSON strings do
 * not count. Returns undefined if the text ends before.
 */
export function* takeBalanced(input: TextInput): Step<string | undefined> {
  const extent = new BalancedExtent();
  let text = "";
  for (;;) {
    text += input.takeTo(extent.read(input.text, input.at));
    if (extent.isDone) return text;
    if (input.isEnded) return undefined;
    yield;
  }
}

class BalancedExtent {
  isDone = false;
  #depth = 0;
  /** The quote that opened the current string; 0 outside of strings. */
  #quote = 0;
  /** Number of such quotes in a row: at the beginning of a string, or in a string that three quotes close. */
  #run = 0;
  #isTriple = false;
  #isEscaped = false;

  read(text: string, from: number): number {
    let at = from;
    while (at < text.length && !this.isDone) {
      const unit = text.charCodeAt(at);
      if (this.#quote === 0 || !this.#inString(unit)) this.#outside(unit);
      at += 1;
    }
    return at;
  }

  /** Returns false if the string ended before this unit. */
  #inString(unit: number): boolean {
    if (this.#isEscaped) {
      this.#isEscaped = false;
    } else if (unit === this.#quote) {
      this.#run += 1;
      if (this.#isTriple && this.#run === 3) this.#quote = 0;
      else if (!this.#isTriple && this.#run === 0) this.#quote = 0;
      else if (!this.#isTriple && this.#run === 3) this.#openTriple();
    } else {
      // Two quotes and then another character: the string was empty.
      if (!this.#isTriple && this.#run === 2) {
        this.#quote = 0;
        return false;
      }
      this.#run = this.#isTriple ? 0 : -1;
      this.#isEscaped = unit === 0x5c;
    }
    return true;
  }

  #openTriple(): void {
    this.#isTriple = true;
    this.#run = 0;
  }

  #outside(unit: number): void {
    if (unit === 0x22 || unit === 0x27) {
      this.#quote = unit;
      this.#run = 1;
      this.#isTriple = false;
    } else if (unit === 0x28 || unit === 0x5b || unit === 0x7b) {
      this.#depth += 1;
    } else if (unit === 0x29 || unit === 0x5d || unit === 0x7d) {
      this.#depth -= 1;
      this.isDone = this.#depth === 0;
    }
  }
}
