import type { KeyTally, RequestRecord } from "../observability/request-record.ts";
import type { Clock } from "../util/clock.ts";
import { type UsageRow, WINDOW_MS } from "./usage.ts";

/** How long a thread gathers, ms: a message for each request would cost more than the request's own counting. */
const GATHER_MS = 1000;

type Count = { -readonly [K in keyof UsageRow]: UsageRow[K] };

/** Counts what the requests of one thread have used, by key and model, and passes the sums on once a second. */
export class UsageTally implements KeyTally, Disposable {
  readonly #pass: (rows: readonly UsageRow[]) => void;
  readonly #clock: Clock;
  readonly #wallNow: () => number;
  /** By model and key: there are few models, and may be very many keys. */
  readonly #counts = new Map<string, Map<string, Count>>();
  #minute = 0;
  #cancelFlush: (() => void) | undefined;

  /** `wallNow`: ms since 1970. */
  constructor(pass: (rows: readonly UsageRow[]) => void, clock: Clock, wallNow: () => number = Date.now) {
    this.#pass = pass;
    this.#clock = clock;
    this.#wallNow = wallNow;
  }

  count(key: string, model: string, { isBearer, errorCode, tokens, isStream, events }: RequestRecord): void {
    const count = this.#countOf(key, isBearer, model);
    count.requests += 1;
    if (errorCode !== undefined) count.errors += 1;
    count.promptTokens += tokens?.promptTokens ?? 0;
    count.completionTokens += tokens?.completionTokens ?? (isStream ? events : 0);
    count.cachedTokens += tokens?.cachedTokens ?? 0;
  }

  /** Passes on what is counted. */
  flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    const rows = [...this.#counts.values()].flatMap((byKey) => [...byKey.values()]);
    this.#counts.clear();
    if (rows.length > 0) this.#pass(rows);
  }

  [Symbol.dispose](): void {
    this.flush();
  }

  #countOf(key: string, isBearer: boolean, model: string): Count {
    if (!this.#cancelFlush) {
      this.#minute = Math.floor(this.#wallNow() / WINDOW_MS.minute) * WINDOW_MS.minute;
      this.#cancelFlush = this.#clock.after(GATHER_MS, () => this.flush());
    }
    let byKey = this.#counts.get(model);
    if (!byKey) {
      byKey = new Map();
      this.#counts.set(model, byKey);
    }
    let count = byKey.get(key);
    if (!count) {
      count = {
        key,
        isBearer,
        model,
        minute: this.#minute,
        requests: 0,
        errors: 0,
        promptTokens: 0,
        completionTokens: 0,
        cachedTokens: 0,
      };
      byKey.set(key, count);
    }
    return count;
  }
}
