/** Whether all batches since the engine's cache was empty were taken in, and why not. */
export class Completeness {
  #isComplete = false;
  #reason: string | undefined;
  #mayRecover = false;

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The first loss, as a sentence for operators. */
  get reason(): string {
    return this.#reason ?? "no batch has come yet";
  }

  /** What was lost may still be there when it is asked for again. */
  get mayRecover(): boolean {
    return this.#mayRecover;
  }

  /** The cache is empty, so all of it is known. */
  begin(): void {
    this.#isComplete = true;
    this.#reason = undefined;
    this.#mayRecover = false;
  }

  /** Nothing is known yet: all batches are asked for. */
  reset(): void {
    this.begin();
    this.#isComplete = false;
  }

  lose(reason: string, mayRecover = false): void {
    this.#isComplete = false;
    this.#reason ??= reason;
    this.#mayRecover ||= mayRecover;
  }

  /** What was lost is not there either. */
  giveUp(): void {
    this.#mayRecover = false;
  }
}
