import { UsageTally } from "../../protocol/answers.ts";
import type { AnswerPart, TokenCount } from "../../protocol/generation.ts";
import type { StreamAccount } from "../response-stage.ts";

/** `Buffer.from` takes 0.4 µs more for an event (Bun 1.4.5, 2026-11-24). */
const encoder = new TextEncoder();
/** The end of an event. It cannot occur within an event, because JSON has no line breaks. */
const EVENT_END = "\n\n";

/** Counts the events of a stream while it is written. */
export class StreamCounts implements StreamAccount {
  events = 0;
  isEnded = false;
  readonly #usage: UsageTally;

  constructor(answersPerPrompt: number) {
    this.#usage = new UsageTally(answersPerPrompt);
  }

  get usage(): TokenCount {
    return this.#usage.total;
  }

  add(part: AnswerPart): void {
    this.#usage.add(part);
  }

  /** Encodes and counts whole events. */
  sent(events: string): Uint8Array {
    for (let at = events.indexOf(EVENT_END); at >= 0; at = events.indexOf(EVENT_END, at + EVENT_END.length)) {
      this.events += 1;
    }
    return encoder.encode(events);
  }

  /** Encodes the last events; the very last one is the end marker. */
  ended(events: string): Uint8Array {
    const bytes = this.sent(events);
    this.events -= 1;
    this.isEnded = true;
    return bytes;
  }
}
