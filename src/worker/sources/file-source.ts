import type { Clock } from "../../util/clock.ts";
import { FileWatch } from "../../util/file-watch.ts";
import type { WorkerSpec } from "../worker-spec.ts";
import type { SourceReport, WorkerSource } from "./worker-source.ts";
import { orAborted } from "../../util/pause.ts";
import { errorMessage } from "../../util/error-message.ts";

/** Source of the workers that a file of its own names. */
export const FILE_SOURCE = "workers_file";

/** The file that names the workers. */
export interface FileWish {
  readonly path: string;
  /** Reads the file. Throws with the reason why it cannot be taken. */
  read(): FileWorkers;
}

/** What the file said. */
export interface FileWorkers {
  readonly workers: readonly WorkerSpec[];
  /** Files that it names, such as those of keys: where one of them changes, the workers are other ones. */
  readonly files: readonly string[];
}

export interface FileSourceParts {
  readonly clock: Clock;
  /** As in FileWatch; tests pass a fake. */
  readonly stateOf?: (file: string) => string;
}

/**
 * The workers of a file, which is looked at once a second. A file that is missing, cannot be read or has a mistake takes no worker away:
 * the source is away until the file is good again.
 */
export class FileSource implements WorkerSource {
  readonly name = FILE_SOURCE;
  readonly #parts: FileSourceParts;
  #wish: FileWish | undefined;
  /** Files that the last good one named. */
  #named: readonly string[] = [];
  #onWanted: (report: SourceReport) => void = () => undefined;
  /** Ends the watch of the file that was wanted before. */
  #turnTo: (() => void) | undefined;

  constructor(parts: FileSourceParts) {
    this.#parts = parts;
  }

  /** Wants the workers of another file, or the same file's as they are read now. Without a wish it wants none. */
  want(wish: FileWish | undefined): void {
    this.#wish = wish;
    this.#turnTo?.();
  }

  async watch(onWanted: (report: SourceReport) => void, signal: AbortSignal): Promise<void> {
    this.#onWanted = onWanted;
    while (!signal.aborted) await this.#follow(signal);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { promise: turned, resolve: turn } = Promise.withResolvers<void>();
    const wish = this.#wish;
    this.#turnTo = turn;
    using watch = wish && this.#watchFiles(wish);
    if (watch) watch.readNow();
    else this.#onWanted({ state: "ready", workers: [] });
    await orAborted(turned, signal);
  }

  #watchFiles(wish: FileWish): FileWatch {
    return new FileWatch({
      ...this.#parts,
      files: () => [wish.path, ...this.#named],
      onChange: async () => this.#read(wish),
    });
  }

  /** Reports what the file says. Throws where it cannot be taken, which is reported as well. */
  #read(wish: FileWish): void {
    try {
      const { workers, files } = wish.read();
      this.#named = files;
      this.#onWanted({ state: "ready", workers });
    } catch (error) {
      this.#onWanted({ state: "away", reason: errorMessage(error) });
      throw error;
    }
  }
}
