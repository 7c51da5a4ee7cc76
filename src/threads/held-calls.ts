import type { Permit } from "../server/admission.ts";
import { LeaveController, type LeaveSignal } from "../util/leave-signal.ts";

/**
 * What the control thread holds for the calls of one other thread: a question until it is answered, then the place that was
 * given. The thread may have lost its client at any time, before or after the answer is on its way to it, so that both
 * are given back by one and the same word: `release`.
 */
export class HeldCalls {
  /** By the call's id, how to give back what it has. */
  readonly #giveBack = new Map<number, () => void>();
  #isOver = false;

  /** Calls that are being answered, and places that are held. */
  get size(): number {
    return this.#giveBack.size;
  }

  /**
   * What `ask` answers; a place is held from then on until it is released. Undefined where the call was released meanwhile:
   * then nobody waits for the answer, and a place that was given has gone back. Rejects as `ask` does.
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

  /** Whatever this call has, it is not wanted any more. */
  release(id: number): void {
    const giveBack = this.#giveBack.get(id);
    this.#giveBack.delete(id);
    giveBack?.();
  }

  /** The thread is over: nothing of it is wanted any more, and nothing is answered from now. */
  close(): void {
    this.#isOver = true;
    for (const id of [...this.#giveBack.keys()]) this.release(id);
  }
}

export function isPermit(answer: object): answer is Permit {
  return "release" in answer;
}
