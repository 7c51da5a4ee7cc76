import { appendFileSync, closeSync, existsSync, openSync, renameSync, statSync } from "node:fs";
import type { Logger } from "./logger.ts";

/** One change of the administration, or one that was refused to a known caller. It has no secret: neither bodies nor queries are in it. */
export interface AuditEntry {
  /** Name of the caller's key; `this machine` for a program on it, `key store` for another process. */
  readonly who: string;
  readonly roles: readonly string[];
  /** Address of the socket's other end. */
  readonly from: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Code of the errors table. */
  readonly error?: string | undefined;
  readonly request_id: string;
  /** What was changed, where the route says it: a key's name, a worker's id. */
  readonly subject?: string | undefined;
}

/** Where changes of the administration are written down. */
export interface AuditLog {
  write(entry: AuditEntry): void;
}

/** Writes the entries as lines of the gateway's log. */
export function auditToLog(logger: Logger): AuditLog {
  return { write: (entry) => logger.info(entry, "administration") };
}

/**
 * Writes the entries to a file that only its owner may read, one JSON line each, before the change is answered. A file of its full size
 * becomes `FILE.1`, in the place of the one before: the two hold twice the size at most.
 */
export class AuditFile implements AuditLog {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #logger: Logger;
  #bytes: number;
  /** A full disk may have taken the beginning of a line. */
  #mayBeCut = false;

  /** Throws the error of the file system where the file cannot be written. */
  constructor(path: string, maxBytes: number, logger: Logger) {
    closeSync(openSync(path, "a", 0o600));
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#logger = logger;
    this.#bytes = statSync(path).size;
  }

  write(entry: AuditEntry): void {
    const line = `${this.#mayBeCut ? "\n" : ""}${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`;
    const length = Buffer.byteLength(line);
    try {
      if (this.#bytes > 0 && this.#bytes + length > this.#maxBytes) this.#rotate();
      appendFileSync(this.#path, line, { mode: 0o600 });
      this.#bytes += length;
      this.#mayBeCut = false;
    } catch (error) {
      this.#mayBeCut = true;
      // The change has happened: the entry is not lost, and the operator sees that the file fails.
      this.#logger.error({ ...entry, cause: String(error) }, "the audit log cannot be written");
    }
  }

  #rotate(): void {
    if (existsSync(this.#path)) renameSync(this.#path, `${this.#path}.1`);
    this.#bytes = 0;
  }
}
