import type { LogOutput } from "../observability/log-writer.ts";
import type { Clock } from "../util/clock.ts";
import type { FromThread } from "./messages.ts";

/** How long lines are gathered, ms, because a message for each would cost more than the line. */
const GATHER_MS = 50;

/** Output of a thread's logger. It sends the lines to the control thread, which has the real output. */
export class ThreadLog implements LogOutput {
  readonly #post: (message: FromThread) => void;
  readonly #clock: Clock;
  #gathered = "";
  #cancelFlush: (() => void) | undefined;

  constructor(post: (message: FromThread) => void, clock: Clock) {
    this.#post = post;
    this.#clock = clock;
  }

  write(text: string): number {
    this.#gathered += text;
    this.#cancelFlush ??= this.#clock.after(GATHER_MS, () => this.flush());
    return text.length;
  }

  flush(): number {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#gathered !== "") this.#post({ type: "log", text: this.#gathered });
    this.#gathered = "";
    return 0;
  }
}
