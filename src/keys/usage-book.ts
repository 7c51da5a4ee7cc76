import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Clock } from "../util/clock.ts";
import { nextTurn } from "../util/next-turn.ts";
import type { KeyStore } from "./key-store.ts";
import { type UsageRow, WINDOW_MS } from "./usage.ts";

export interface UsageBookParts {
  /** undefined where usage is only counted. */
  readonly store: Pick<KeyStore, "addUsage"> | undefined;
  readonly metrics: Metrics;
  /** Most keys that metrics name; those that come later are one series. */
  readonly namedKeys: number;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Time between two writes, ms, and how many times as long as the last write took: with very many keys, a key's requests are summed for longer. */
const WRITE_MS = 2000;
const REST_FACTOR = 20;
const MOST_REST_MS = 20_000;
/** Most rows that wait for the store; more are lost, and the log says so. */
const MAX_WAITING = 200_000;
/** Rows that are written at once. Requests run in between: a hundred thousand rows take half a second. */
const SLICE_ROWS = 256;
/** Most bearers of tokens whose usage of a day (UTC) the store has by their names; that of others is one row. An issuer may have any number. */
const MOST_BEARERS_A_DAY = 16_384;
/** Name of the series of keys that are not named, and of the rows of bearers that are not. */
const OTHERS = "other";

/** The usage of all threads, on the control thread: it counts it in metrics, and writes it to the store, one write at a time. */
export class UsageBook implements AsyncDisposable {
  readonly #parts: UsageBookParts;
  readonly #waiting = new Map<string, UsageRow>();
  readonly #named = new Set<string>();
  #cancelWrite: (() => void) | undefined;
  #writing: Promise<void> | undefined;
  readonly #bearers = new Set<string>();
  #day = 0;
  #isFailing = false;
  #lost = 0;
  #restMs = WRITE_MS;

  constructor(parts: UsageBookParts) {
    this.#parts = parts;
  }

  /** Takes what a thread has counted. */
  add(rows: readonly UsageRow[]): void {
    let others: UsageRow | undefined;
    for (const row of rows) {
      if (this.#isNamed(row.key)) this.#count(row.key, row);
      else others = others ? sum(others, row) : row;
      if (this.#parts.store) this.#keep(row.isBearer ? this.#ofBearer(row) : row);
    }
    if (others) this.#count(OTHERS, others);
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

  #count(key: string, { requests, errors, promptTokens, completionTokens }: UsageRow): void {
    const { metrics } = this.#parts;
    metrics.increment("keyRequests", { key, outcome: "served" }, requests - errors);
    if (errors > 0) metrics.increment("keyRequests", { key, outcome: "failed" }, errors);
    if (promptTokens > 0) metrics.increment("keyTokens", { key, kind: "prompt" }, promptTokens);
    if (completionTokens > 0) metrics.increment("keyTokens", { key, kind: "completion" }, completionTokens);
  }

  /** Whether the key has series of its own. */
  #isNamed(key: string): boolean {
    if (this.#named.has(key)) return true;
    if (this.#named.size >= this.#parts.namedKeys) return false;
    this.#named.add(key);
    return true;
  }

  /** The row, under its bearer's name if that is among the first of its day. */
  #ofBearer(row: UsageRow): UsageRow {
    const day = Math.floor(row.minute / WINDOW_MS.day);
    if (day > this.#day) {
      this.#bearers.clear();
      this.#day = day;
    }
    if (this.#bearers.has(row.key)) return row;
    if (this.#bearers.size >= MOST_BEARERS_A_DAY) return { ...row, key: OTHERS };
    this.#bearers.add(row.key);
    return row;
  }

  #keep(row: UsageRow): void {
    const at = `${row.minute}\n${row.key}\n${row.model}`;
    const known = this.#waiting.get(at);
    if (known) this.#waiting.set(at, sum(known, row));
    else if (this.#waiting.size < MAX_WAITING) this.#waiting.set(at, row);
    else this.#lost += row.requests;
  }

  #schedule(): void {
    this.#cancelWrite ??= this.#parts.clock.after(this.#restMs, () => {
      this.#cancelWrite = undefined;
      void this.flush();
    });
  }

  async #write(): Promise<void> {
    const { store, logger, clock } = this.#parts;
    const begunAt = clock.now();
    // In the order of the store's table, which takes a quarter of the time of any other order once there are many.
    const rows = [...this.#waiting.values()].sort(byPlace);
    this.#waiting.clear();
    let written = 0;
    this.#restMs = WRITE_MS;
    try {
      for (; written < rows.length; written += SLICE_ROWS) {
        if (written > 0) await nextTurn();
        await store?.addUsage(rows.slice(written, written + SLICE_ROWS));
      }
      if (this.#lost > 0)
        logger.error({ requests: this.#lost }, "the usage of requests is lost: the key store was away too long");
      [this.#isFailing, this.#lost] = [false, 0];
      this.#restMs = Math.min(MOST_REST_MS, Math.max(WRITE_MS, REST_FACTOR * (clock.now() - begunAt)));
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

function byPlace(one: UsageRow, other: UsageRow): number {
  if (one.minute !== other.minute) return one.minute - other.minute;
  if (one.key !== other.key) return one.key < other.key ? -1 : 1;
  return one.model < other.model ? -1 : 1;
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
