/** Where a progress bar is drawn. */
export interface ProgressOutput {
  /** Columns of the terminal; undefined where the output is none, and then nothing is drawn. */
  readonly columns: number | undefined;
  readonly write: (text: string) => void;
}

/** Characters of the bar itself. */
const BAR = 24;
/** Time between two drawings, ms. */
const DRAW_EACH_MS = 100;

/** A bar on one line of a terminal, with the time that is left as far as one can tell. */
export class ProgressBar {
  readonly #output: ProgressOutput;
  readonly #now: () => number;
  readonly #startedAt: number;
  #drawnAt = Number.NEGATIVE_INFINITY;

  constructor(output: ProgressOutput, now: () => number) {
    this.#output = output;
    this.#now = now;
    this.#startedAt = now();
  }

  /** `share` of the work is done, 0 to 1; `doing` says what is done at present. */
  show(share: number, doing: string): void {
    const { columns, write } = this.#output;
    const now = this.#now();
    if (columns === undefined || now - this.#drawnAt < DRAW_EACH_MS) return;
    this.#drawnAt = now;
    const done = Math.round(share * BAR);
    const leftSecs = share > 0.02 ? Math.ceil((((now - this.#startedAt) / share) * (1 - share)) / 1000) : undefined;
    const left = leftSecs === undefined ? "" : `, ${leftSecs} s left`;
    const line = `[${"#".repeat(done)}${".".repeat(BAR - done)}] ${Math.floor(share * 100)} %${left}  ${doing}`;
    write(`\r\u001b[K${line.slice(0, Math.max(0, columns - 1))}`);
  }

  /** Wipes the line. */
  clear(): void {
    if (this.#output.columns !== undefined) this.#output.write("\r\u001b[K");
  }
}
