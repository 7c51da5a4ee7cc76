import { SQLiteError } from "bun:sqlite";
import { type Stats, statSync } from "node:fs";
import { GatewayError } from "../errors/errors.ts";

/** How long work waits for another process that writes, and the time between two tries, ms. */
const BUSY_MS = 5000;
const RETRY_MS = 25;

/**
 * The file of a key store, which another process may lock, replace or delete. SQLite itself would wait for a lock with the event loop standing
 * still; here requests run meanwhile.
 */
export class StoreFile {
  readonly #path: string;
  readonly #opened: Stats;

  /** `path`: of a file that is open. */
  constructor(path: string) {
    this.#path = path;
    this.#opened = statSync(path);
  }

  /** Does the work, again and again while another process has the file locked. Rejects with key_store_failed, and with what else the work throws. */
  async attempt<T>(work: () => T): Promise<T> {
    for (const until = performance.now() + BUSY_MS; ;) {
      this.#checkSame();
      try {
        return work();
      } catch (cause) {
        if (!(cause instanceof SQLiteError)) throw cause;
        const isBusy = cause.code?.startsWith("SQLITE_BUSY") === true;
        if (!isBusy || performance.now() >= until) throw failed(cause.message, cause);
      }
      await Bun.sleep(RETRY_MS);
    }
  }

  /** SQLite goes on with a file that has no name any more: what is written to it is lost at the end. */
  #checkSame(): void {
    const now = statSync(this.#path, { throwIfNoEntry: false });
    if (now?.ino === this.#opened.ino && now.dev === this.#opened.dev) return;
    throw failed(`the file was ${now ? "replaced" : "deleted"}; put it back, or start the gateway anew`);
  }
}

function failed(reason: string, cause?: unknown): GatewayError {
  return new GatewayError("key_store_failed", `the key store cannot be read or written: ${reason}`, { cause });
}
