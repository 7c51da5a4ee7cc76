import { type FileHandle, open } from "node:fs/promises";
import { parse, join } from "node:path";

/** Most characters that wait for the disk. */
const MAX_WAITING_CHARS = 8 * 1024 * 1024;
/** Time for the last lines to reach the disk when the file is closed, ms. */
const LAST_WRITE_MS = 2000;
/** Most files of one name. */
const MAX_FILES = 1000;

/** What became of a line: it will be written, the disk is too slow or has failed, or the file has its full size. */
export type LineFate = "kept" | "dropped" | "full";

/**
 * A new file of lines with a bounded size. Lines are written one after the other behind the caller's back; what waits for the disk is
 * bounded too. A line that does not fit is not written, and the caller hears of it.
 */
export class BoundedFile implements AsyncDisposable {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #maxBytes: number;
  #waiting = "";
  #bytes = 0;
  #writing: Promise<void> | undefined;
  #hasFailed = false;

  private constructor(path: string, handle: FileHandle, maxBytes: number) {
    this.path = path;
    this.#handle = handle;
    this.#maxBytes = maxBytes;
  }

  /**
   * Makes a file that only its owner may read. A file that exists is never overwritten: with `a.jsonl` there, it is `a.1.jsonl`. Throws
   * the error of the file system.
   */
  static async create(path: string, maxBytes: number): Promise<BoundedFile> {
    const { dir, name, ext } = parse(path);
    for (let number = 0; ; number += 1) {
      const free = number === 0 ? path : join(dir, `${name}.${number}${ext}`);
      try {
        return new BoundedFile(free, await open(free, "wx", 0o600), maxBytes);
      } catch (error) {
        const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
        if (!exists || number >= MAX_FILES) throw error;
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
    try {
      while (this.#waiting !== "") {
        const lines = this.#waiting;
        this.#waiting = "";
        await this.#handle.write(lines);
      }
    } catch {
      // The disk is full or gone. Later lines are dropped, and counted by the caller.
      this.#hasFailed = true;
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
