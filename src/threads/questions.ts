import type { Clock } from "../util/clock.ts";

/** Questions to a thread that wait for their answers, each for a bounded time. */
export class Questions<Answer> {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #open = new Map<number, (answer: Answer | undefined) => void>();
  #next = 0;

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  /** Sends a question with its id. Resolves with the answer; with undefined if none comes in time. */
  ask(send: (id: number) => void): Promise<Answer | undefined> {
    const id = this.#next;
    this.#next += 1;
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    const cancel = this.#clock.after(this.#limitMs, () => this.answer(id, undefined));
    this.#open.set(id, (answer) => {
      cancel();
      resolve(answer);
    });
    send(id);
    return promise;
  }

  /** Answers a question. One that was answered before, or not in time, is not there any more. */
  answer(id: number, answer: Answer | undefined): void {
    const resolve = this.#open.get(id);
    this.#open.delete(id);
    resolve?.(answer);
  }

  /** Answers all open questions with undefined. */
  close(): void {
    for (const id of [...this.#open.keys()]) this.answer(id, undefined);
  }
}
