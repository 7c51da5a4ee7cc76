import type { FromThread, Start, ToThread } from "./messages.ts";
import { errorMessage } from "../util/error-message.ts";

/** A thread that has started. */
export interface StartedThread {
  readonly port: number;
  onMessage(message: Exclude<ToThread, Start>): void;
}

/**
 * Handles the control thread's messages to a serving thread. The first message starts the thread. Messages that arrive while it
 * starts are kept and handled in order. It answers the start once, with `listening` or `failed`.
 */
export class ThreadInbox {
  readonly #start: (message: Start) => Promise<StartedThread>;
  readonly #post: (message: FromThread) => void;
  readonly #early: Exclude<ToThread, Start>[] = [];
  #thread: StartedThread | undefined;

  constructor(start: (message: Start) => Promise<StartedThread>, post: (message: FromThread) => void) {
    this.#start = start;
    this.#post = post;
  }

  onMessage(message: ToThread): void {
    if (message.type === "start") void this.#startThread(message);
    else if (this.#thread) this.#thread.onMessage(message);
    // A thread that is still starting answers too, unless its code hangs.
    else if (message.type === "ping") this.#post({ type: "pong" });
    else this.#early.push(message);
  }

  async #startThread(message: Start): Promise<void> {
    let thread: StartedThread;
    try {
      thread = await this.#start(message);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
      this.#post({ type: "failed", message: errorMessage(error), code });
      return;
    }
    this.#thread = thread;
    for (const early of this.#early.splice(0)) thread.onMessage(early);
    this.#post({ type: "listening", port: thread.port });
  }
}
