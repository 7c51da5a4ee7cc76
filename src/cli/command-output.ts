/** What a command writes to. */
interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** The output of a program that prints help; tests pass a fake. */
export interface Terminal extends Output {
  /** Columns of the terminal; undefined where the output is not a terminal, or its size is not known. */
  readonly columns: number | undefined;
}

/** What a command writes to, and the variables that it reads; tests pass a fake. */
export interface CommandOutput extends Output {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Those of this process. */
export const PROCESS: CommandOutput & Terminal = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  env: process.env,
  get columns(): number | undefined {
    // A terminal without a size says 0.
    return process.stdout.isTTY ? process.stdout.columns || undefined : undefined;
  },
};

/** A value as JSON for programs and people, with a line break behind it. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
