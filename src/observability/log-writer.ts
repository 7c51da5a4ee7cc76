import type { LineForm } from "./log-line.ts";

/** Where bytes go; Bun's own buffered writer of a file fits. */
export interface LogOutput {
  write(text: string): number | Promise<number>;
  /** Resolves when everything written so far has left. */
  flush(): number | Promise<number>;
}

/** Most characters that wait for the reader of the lines. Further lines are dropped, so that a reader that hangs cannot use up the memory. */
const MAX_WAITING_CHARS = 1024 * 1024;

/** Characters that are gathered for one write. */
const GATHERED_CHARS = 32_768;

/** The level of the line that says how many lines were dropped. */
const WARN = 40;

/** Writes lines later, in large pieces. When the reader hangs, it drops lines and counts them; when the reader is back, it writes how many were dropped. */
export class LogWriter {
  readonly #output: LogOutput;
  #gathered = "";
  #waitingChars = 0;
  #dropped = 0;
  #flushing: Promise<void> | undefined;

  readonly #form: LineForm;

  constructor(output: LogOutput, form: LineForm) {
    this.#output = output;
    this.#form = form;
  }

  /** Lines that were dropped and not reported yet. */
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

  /** Resolves when everything written before has left or has failed. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /** Passes many lines to the output in one write. */
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
    const line = this.#form(WARN, { dropped: this.#dropped }, "log lines dropped");
    this.#dropped = 0;
    this.write(line);
  }

  async #guard(action: () => number | Promise<number>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch {
      // The reader is gone, or the disk is full. The gateway serves on without logs.
      return false;
    }
  }
}
