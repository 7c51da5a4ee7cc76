/** Where bytes go; Bun's own buffered writer of a file fits. */
export interface LogOutput {
  write(text: string): number | Promise<number>;
  /** Resolves when what was written so far has left. */
  flush(): number | Promise<number>;
}

/** What may wait for whoever reads the lines. Beyond it they are dropped: a reader that hangs must not take the memory. */
const MAX_WAITING_CHARS = 1024 * 1024;

/** Lines that go out with one write. */
const GATHERED_CHARS = 32_768;

/** Writes lines behind, drops and counts what nobody reads, and says so when somebody reads again. */
export class LogWriter {
  readonly #output: LogOutput;
  #gathered = "";
  #waitingChars = 0;
  #dropped = 0;
  #flushing: Promise<void> | undefined;

  constructor(output: LogOutput) {
    this.#output = output;
  }

  /** Lines that were dropped and not told of yet. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    if (this.#waitingChars > MAX_WAITING_CHARS) {
      this.#dropped += 1;
      return;
    }
    this.#waitingChars += line.length;
    this.#gathered += line;
    if (this.#gathered.length > GATHERED_CHARS) this.#passOn();
  }

  /** Resolves when all that was written before has left, or could not. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /** One write for many lines: the output need not be asked about each. */
  #passOn(): void {
    const lines = this.#gathered;
    this.#gathered = "";
    if (lines !== "") void this.#guard(() => this.#output.write(lines));
  }

  async #flush(): Promise<void> {
    this.#passOn();
    const leaving = this.#waitingChars;
    if (!(await this.#guard(() => this.#output.flush()))) return;
    this.#waitingChars -= leaving;
    if (this.#dropped === 0 || this.#waitingChars > MAX_WAITING_CHARS) return;
    const line = { level: 40, time: new Date().toISOString(), dropped: this.#dropped, msg: "log lines dropped" };
    this.#dropped = 0;
    this.write(`${JSON.stringify(line)}\n`);
  }

  async #guard(action: () => number | Promise<number>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch {
      // Whoever read the lines is gone, or the disk is full: serving goes on without them.
      return false;
    }
  }
}
