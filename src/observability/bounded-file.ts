import { open, stat } from "node:fs/promises";
import { parse, join } from "node:path";

/** Most characters that wait for the disk. */
const MAX_WAITING_CHARS = 8 * 1024 * 1024;
/** Time for the last lines to reach the disk when the file is closed, ms. */
const LAST_WRITE_MS = 2000;
/** Most files of one name. */
const MAX_FILES = 1000;

/** What became of a line: it will be written, the disk is too slow or has failed, or the file has its full size. */
export type LineFate = "kept" | "dropped" | "full";

/** Lines that were taken for the file and are not in it, because the disk is full or gone. */
export interface WriteFailure {
  readonly lines: number;
  readonly error: unknown;
}

/** The parts of an open file that are used; tests pass one whose disk is full. */
interface OpenFile {
  write(bytes: Uint8Array): Promise<{ readonly bytesWritten: number }>;
  close(): Promise<void>;
}

/**
 * A new file of lines with a bounded size. Lines are written one after the other behind the caller's back; what waits for the disk is
 * bounded too. A line that does not fit is not written, and the caller hears of it.
 */
export class BoundedFile implements AsyncDisposable {
  readonly path: string;
  readonly #handle: OpenFile;
  readonly #maxBytes: number;
  readonly #onFailure: (failure: WriteFailure) => void;
  #waiting = "";
  #bytes = 0;
  #writing: Promise<void> | undefined;
  #hasFailed = false;

  private constructor(path: string, handle: OpenFile, maxBytes: number, onFailure: (failure: WriteFailure) => void) {
    this.path = path;
    this.#handle = handle;
    this.#maxBytes = maxBytes;
    this.#onFailure = onFailure;
  }

  /**
   * Makes a file that only its owner may read. A file that exists is never overwritten: with `a.jsonl` there, it is `a.1.jsonl`. Throws
   * the error of the file system. `onFailure` hears at most once that the file cannot be written any more.
   */
  static async create(
    path: string,
    maxBytes: number,
    onFailure: (failure: WriteFailure) => void,
    openNew: (path: string) => Promise<OpenFile> = (free) => open(free, "wx", 0o600),
  ): Promise<BoundedFile> {
    const { dir, name, ext } = parse(path);
    for (let number = 0; ; number += 1) {
      const free = number === 0 ? path : join(dir, `${name}.${number}${ext}`);
      try {
        return new BoundedFile(free, await openNew(free), maxBytes, onFailure);
      } catch (error) {
        const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
        if (!exists || number >= MAX_FILES) throw error;
        if (!(await stat(free)).isFile()) throw new Error(`${free} is there, and is no file`, { cause: error });
      }
    }
  }

  /** Bytes that were taken for the file. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `line` is ASCII and ends with a line break. */
  write(line: string): LineFate {
    if (this.#hasFailed || this.#waiting.length + line.length > MAX_WAITING_CHARS) return "dropped";
    if (this.#bytes + line.length > this.#maxBytes) return "full";
    this.#bytes += line.length;
    this.#waiting += line;
    this.#writing ??= this.#writeAll();
    return "kept";
  }

  async #writeAll(): Promise<void> {
    // Lines of one turn of the event loop become one write.
    await new Promise((resolve) => setImmediate(resolve));
    let bytes: Uint8Array = NOTHING;
    try {
      while (this.#waiting !== "") {
        bytes = Buffer.from(this.#waiting, "latin1");
        this.#waiting = "";
        // A disk that is nearly full takes only a part.
        while (bytes.length > 0) bytes = bytes.subarray((await this.#handle.write(bytes)).bytesWritten);
      }
    } catch (error) {
      // The disk is full or gone. Later lines are dropped, and counted by the caller.
      this.#hasFailed = true;
      const lines = linesIn(bytes) + linesIn(Buffer.from(this.#waiting, "latin1"));
      this.#waiting = "";
      this.#onFailure({ lines, error });
    } finally {
      this.#writing = undefined;
    }
  }

  /** Writes what waits, for two seconds at most, and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.race([this.#writing, Bun.sleep(LAST_WRITE_MS)]);
    await Promise.race([this.#handle.close(), Bun.sleep(LAST_WRITE_MS)]).catch(() => undefined);
  }
}

const NOTHING = new Uint8Array(0);
const LINE_BREAK = 10;

function linesIn(bytes: Uint8Array): number {
  return bytes.reduce((count, byte) => count + (byte === LINE_BREAK ? 1 : 0), 0);
}
