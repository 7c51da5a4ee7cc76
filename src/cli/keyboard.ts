/** Signals at which a program that has the whole screen gives it back before it ends. */
const ENDS = ["SIGTERM", "SIGHUP"] as const;
/** What a terminal in raw mode sends for Ctrl-C. */
const CTRL_C = "\u0003";
/** Keys that end the program. */
export const LEAVES: readonly string[] = ["q", CTRL_C];

/** The keys of a terminal, which are read one by one, and the signals that end the program. */
export class Keyboard {
  #pressed = "";
  #isOver = false;
  #wake: () => void = () => undefined;

  constructor() {
    const { stdin } = process;
    for (const signal of ENDS) {
      process.on(signal, () => {
        this.#isOver = true;
        this.#wake();
      });
    }
    if (!stdin.isTTY) return;
    stdin.setRawMode(true);
    stdin.on("data", (bytes) => {
      this.#pressed += String(bytes);
      if (LEAVES.some((key) => this.#pressed.includes(key))) this.#wake();
    });
    stdin.unref();
  }

  /** Keys that were pressed since the last call, in order; undefined: the program is to end. */
  take(): string | undefined {
    const keys = this.#pressed;
    this.#pressed = "";
    return this.#isOver ? undefined : keys;
  }

  /** Waits so long, or until a key or a signal ends the program. */
  async sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }
}
