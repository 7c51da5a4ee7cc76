import type { LogOutput } from "../observability/log-writer.ts";
import type { FromThread } from "./messages.ts";

/** Lines are gathered for so long, ms: a message for each would cost more than the line. */
const GATHER_MS = 50;

/** Where the logger of a thread writes to: the control thread, which has the output. */
export class ThreadLog implements LogOutput {
  readonly #post: (message: FromThread) => void;
  #gathered = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(post: (message: FromThread) => void) {
    this.#post = post;
  }

  write(text: string): number {
    this.#gathered += text;
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
    return text.length;
  }

  flush(): number {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#gathered !== "") this.#post({ type: "log", text: this.#gathered });
    this.#gathered = "";
    return 0;
  }
}
