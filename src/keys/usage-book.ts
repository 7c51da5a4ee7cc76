import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Clock } from "../util/clock.ts";
import { nextTurn } from "../util/next-turn.ts";
import type { KeyStore } from "./key-store.ts";
import type { UsageRow } from "./usage.ts";

export interface UsageBookParts {
  /** undefined where usage is only counted. */
  readonly store: Pick<KeyStore, "addUsage"> | undefined;
  readonly metrics: Metrics;
  /** Most keys that metrics name; those that come later are one series. */
  readonly namedKeys: number;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Time between two writes, ms. */
const WRITE_MS = 2000;
/** Most rows that wait for the store; more are lost, and the log says so. */
const MAX_WAITING = 200_000;
/** Rows that are written at once. Requests run in between: a hundred thousand rows take half a second. */
const SLICE_ROWS = 256;
/** Name of the series of keys that are not named. */
const OTHERS = "other";

/** The usage of all threads, on the control thread: it counts it in metrics, and writes it to the store, one write at a time. */
export class UsageBook implements AsyncDisposable {
  readonly #parts: UsageBookParts;
  readonly #waiting = new Map<string, UsageRow>();
  readonly #named = new Set<string>();
  #cancelWrite: (() => void) | undefined;
  #writing: Promise<void> | undefined;
  #isFailing = false;
  #lost = 0;

  constructor(parts: UsageBookParts) {
    this.#parts = parts;
  }

  /** Takes what a thread has counted. */
  add(rows: readonly UsageRow[]): void {
    for (const row of rows) {
      this.#count(row);
      if (this.#parts.store) this.#keep(row);
    }
    if (this.#waiting.size > 0) this.#schedule();
  }

  /** Writes what waits. Resolves when the store has it, or has failed. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#waiting.size === 0) return;
    this.#writing = this.#write();
    await this.#writing;
    this.#writing = undefined;
  }

  /** Writes what waits, for the last time. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancelWrite?.();
    await this.flush();
    if (this.#waiting.size > 0)
      this.#parts.logger.error({ rows: this.#waiting.size }, "usage is lost: the key store fails");
  }

  #count({ key: name, requests, errors, promptTokens, completionTokens }: UsageRow): void {
    const { metrics } = this.#parts;
    const key = this.#labelOf(name);
    metrics.increment("keyRequests", { key, outcome: "served" }, requests - errors);
    if (errors > 0) metrics.increment("keyRequests", { key, outcome: "failed" }, errors);
    if (promptTokens > 0) metrics.increment("keyTokens", { key, kind: "prompt" }, promptTokens);
    if (completionTokens > 0) metrics.increment("keyTokens", { key, kind: "completion" }, completionTokens);
  }

  #labelOf(name: string): string {
    if (this.#named.has(name)) return name;
    if (this.#named.size >= this.#parts.namedKeys) return OTHERS;
    this.#named.add(name);
    return name;
  }

  #keep(row: UsageRow): void {
    const at = `${row.minute}\n${row.key}\n${row.model}`;
    const known = this.#waiting.get(at);
    if (known) this.#waiting.set(at, sum(known, row));
    else if (this.#waiting.size < MAX_WAITING) this.#waiting.set(at, row);
    else this.#lost += row.requests;
  }

  #schedule(): void {
    this.#cancelWrite ??= this.#parts.clock.after(WRITE_MS, () => {
      this.#cancelWrite = undefined;
      void this.flush();
    });
  }

  async #write(): Promise<void> {
    const { store, logger } = this.#parts;
    const rows = [...this.#waiting.values()];
    this.#waiting.clear();
    let written = 0;
    try {
      for (; written < rows.length; written += SLICE_ROWS) {
        if (written > 0) await nextTurn();
        await store?.addUsage(rows.slice(written, written + SLICE_ROWS));
      }
      if (this.#lost > 0)
        logger.error({ requests: this.#lost }, "the usage of requests is lost: the key store was away too long");
      [this.#isFailing, this.#lost] = [false, 0];
    } catch (error) {
      // They are written with the next ones.
      for (const row of rows.slice(written)) this.#keep(row);
      if (!this.#isFailing)
        logger.error({ error: String(error) }, "usage cannot be written to the key store, and is kept in memory");
      this.#isFailing = true;
      this.#schedule();
    }
  }
}

function sum(one: UsageRow, other: UsageRow): UsageRow {
  return {
    ...one,
    requests: one.requests + other.requests,
    errors: one.errors + other.errors,
    promptTokens: one.promptTokens + other.promptTokens,
    completionTokens: one.completionTokens + other.completionTokens,
    cachedTokens: one.cachedTokens + other.cachedTokens,
  };
}
