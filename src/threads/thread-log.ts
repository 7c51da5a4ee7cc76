import type { LogOutput } from "../observability/log-writer.ts";
import type { Clock } from "../util/clock.ts";
import type { FromThread } from "./messages.ts";

/** Lines are gathered for so long, ms: a message for each would cost more than the line. */
const GATHER_MS = 50;

/** What the logger of a thread writes to: the lines go to the control thread, which has the output. */
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
