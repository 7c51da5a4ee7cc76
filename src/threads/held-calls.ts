import type { Permit } from "../server/admission.ts";
import { LeaveController, type LeaveSignal } from "../util/leave-signal.ts";

/**
 * The open calls of one serving thread on the control thread: a question until it is answered, and then the given place. The
 * thread may lose its client at any time, before or after the answer is sent. So one message gives back either: `release`.
 */
export class HeldCalls {
  /** By the call's id: a function that gives back what the call holds. */
  readonly #giveBack = new Map<number, () => void>();
  #isOver = false;

  /** Number of open questions and held places. */
  get size(): number {
    return this.#giveBack.size;
  }

  /**
   * Resolves to the answer of `ask`; a place in it is held until it is released. Resolves to undefined if the call was released
   * meanwhile; the place has then gone back. Rejects as `ask` does.
   */
  async answer<Answer extends object>(
    id: number,
    ask: (signal: LeaveSignal) => Promise<Answer | Permit>,
  ): Promise<Answer | Permit | undefined> {
    const caller = new LeaveController();
    if (this.#isOver) return undefined;
    this.#giveBack.set(id, () => caller.leave(new Error("the client left")));
    let answer: Answer | Permit;
    try {
      answer = await ask(caller);
    } catch (error) {
      this.#giveBack.delete(id);
      throw error;
    }
    if (!isPermit(answer)) this.#giveBack.delete(id);
    else if (caller.aborted) answer.release();
    else this.#giveBack.set(id, answer.release.bind(answer));
    return caller.aborted ? undefined : answer;
  }

  /** Releases what the call holds: its question or its place. */
  release(id: number): void {
    const giveBack = this.#giveBack.get(id);
    this.#giveBack.delete(id);
    giveBack?.();
  }

  /** The thread is over: releases all its calls, and answers none from now on. */
  close(): void {
    this.#isOver = true;
    for (const id of [...this.#giveBack.keys()]) this.release(id);
  }
}

/** Whether an answer is a place, which must be given back. */
export function isPermit(answer: object): answer is Permit {
  return "release" in answer;
}
