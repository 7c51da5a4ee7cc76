import { statSync } from "node:fs";
import type { Clock } from "./clock.ts";

/** Time between two looks, ms. */
const LOOK_MS = 1000;
/** Time after which a change that was refused is tried again, ms: what it named may be there by then. */
const RETRY_MS = 30_000;

export interface FileWatchDeps {
  /** The files at this moment: the one that is read, and those that it names. */
  readonly files: () => readonly string[];
  readonly clock: Clock;
  /** Reads the files again. Rejects where what they say is refused. */
  readonly onChange: () => Promise<unknown>;
  /** What tells one state of a file from another; tests pass a fake. */
  readonly stateOf?: (file: string) => string;
}

/**
 * Looks at files once a second, and has them read when they have changed and stayed so for a second: an editor writes a file in
 * steps, and Kubernetes swaps the link of a mounted config map. Links are followed, and a file that is renamed into the place of
 * another is another file. It asks for the state, and not for events: those are lost on network file systems and follow no link.
 */
export class FileWatch implements Disposable {
  readonly #deps: FileWatchDeps;
  /** The states that were read last, and those of the last look. */
  #read: string;
  #seen: string;
  /** When a refused change is tried again, in the clock's ms. */
  #retryAt = Number.POSITIVE_INFINITY;
  #isReading = false;
  #cancel: () => void;

  constructor(deps: FileWatchDeps) {
    this.#deps = deps;
    this.#read = this.#states();
    this.#seen = this.#read;
    this.#cancel = this.#schedule();
  }

  /** Reads the files at once, for the first time. Begins before it returns. */
  readNow(): void {
    void this.#readAgain(this.#read);
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }

  #schedule(): () => void {
    return this.#deps.clock.after(LOOK_MS, () => {
      this.#look();
      this.#cancel = this.#schedule();
    });
  }

  #look(): void {
    const states = this.#states();
    const isSettled = states === this.#seen;
    this.#seen = states;
    if (!isSettled || this.#isReading) return;
    if (states !== this.#read || this.#deps.clock.now() >= this.#retryAt) void this.#readAgain(states);
  }

  async #readAgain(states: string): Promise<void> {
    const { clock, onChange } = this.#deps;
    this.#isReading = true;
    this.#read = states;
    this.#retryAt = Number.POSITIVE_INFINITY;
    const before = this.#files();
    try {
      await onChange();
      // Files that are named for the first time were read just now.
      if (this.#files() !== before) this.#read = this.#states();
    } catch {
      // The log has said why.
      this.#retryAt = clock.now() + RETRY_MS;
    } finally {
      this.#isReading = false;
    }
  }

  #files(): string {
    return this.#deps.files().join("\n");
  }

  #states(): string {
    const { files, stateOf = stateOfFile } = this.#deps;
    return files()
      .map((file) => `${file} ${stateOf(file)}`)
      .join("\n");
  }
}

/** The file behind all links, its size and the time of its last change; `missing` where there is none. */
function stateOfFile(file: string): string {
  try {
    const { dev, ino, size, mtimeNs } = statSync(file, { bigint: true });
    return `${dev} ${ino} ${size} ${mtimeNs}`;
  } catch {
    return "missing";
  }
}
