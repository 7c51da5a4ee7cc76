import type { FromThread, Start, ToThread } from "./messages.ts";

/** A thread that has started. */
export interface StartedThread {
  readonly port: number;
  onMessage(message: Exclude<ToThread, Start>): void;
}

/**
 * What comes to a thread from the control thread. The first message starts it; what comes while it starts is kept and taken up
 * in its order. It says `listening` or `failed`, once.
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
    // A thread that loads its code answers as well, unless the code hangs.
    else if (message.type === "ping") this.#post({ type: "pong" });
    else this.#early.push(message);
  }

  async #startThread(message: Start): Promise<void> {
    let thread: StartedThread;
    try {
      thread = await this.#start(message);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
      this.#post({ type: "failed", message: error instanceof Error ? error.message : String(error), code });
      return;
    }
    this.#thread = thread;
    for (const early of this.#early.splice(0)) thread.onMessage(early);
    this.#post({ type: "listening", port: thread.port });
  }
}
