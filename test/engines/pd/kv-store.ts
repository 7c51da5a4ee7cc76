import type { Clock } from "../../../src/util/clock.ts";

/** KV of one prompt. */
export interface Kv {
  /** Hash of the prompt: what is decoded must be what was prefilled. */
  readonly prompt: string;
  readonly tokens: number;
  /** How many of them the prefill engine had in its own cache. */
  readonly cachedTokens: number;
  readonly rank: number;
  /** What else must agree, by name. */
  readonly agreed: Readonly<Record<string, string>>;
}

export type KvNews = "taken" | "expired" | "timeout" | "dropped" | "aborted";
type Found = { readonly kv: Kv } | { readonly news: KvNews };

interface Entry {
  readonly ready: PromiseWithResolvers<Found>;
  readonly taken: PromiseWithResolvers<KvNews>;
  isClaimed: boolean;
  kv: Kv | undefined;
  /** Why it cannot be had any more. */
  gone: KvNews | undefined;
  cancelLease: () => void;
}

/** Entries kept after their end, to tell a key that was used from one that never was. */
const KEPT_ENTRIES = 65_536;

/** What an engine holds for others to fetch, each once, under keys that are used once. */
export class KvStore {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #onExpired: () => void;

  constructor(clock: Clock, leaseMs: number, onExpired: () => void) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#onExpired = onExpired;
  }

  /** Prompt tokens held for somebody to fetch. */
  get heldTokens(): number {
    let tokens = 0;
    for (const entry of this.#entries.values()) if (!entry.gone) tokens += entry.kv?.tokens ?? 0;
    return tokens;
  }

  /** Makes the key this request's own; false where it was somebody's before. */
  claim(key: string): boolean {
    const entry = this.#entry(key);
    if (entry.isClaimed) return false;
    entry.isClaimed = true;
    return true;
  }

  isClaimed(key: string): boolean {
    return this.#entries.get(key)?.isClaimed ?? false;
  }

  /** The KV is computed and can be fetched, until its lease ends. */
  publish(key: string, kv: Kv): void {
    const entry = this.#entry(key);
    if (entry.kv || entry.gone) return;
    entry.kv = kv;
    entry.cancelLease = this.#clock.after(this.#leaseMs, () => {
      this.#onExpired();
      end(entry, "expired");
    });
    entry.ready.resolve({ kv });
  }

  /** There will be no KV under this key. */
  drop(key: string): void {
    end(this.#entry(key), "dropped");
  }

  /** Waits for the KV; it is not taken by that. */
  async find(key: string, waitMs: number, signal: AbortSignal): Promise<Found> {
    const entry = this.#entry(key);
    if (entry.gone) return { news: entry.gone };
    return this.#within(entry.ready.promise, waitMs, signal, (news) => ({ news }));
  }

  /** Gives the KV away; it is held no longer. */
  take(key: string): void {
    end(this.#entry(key), "taken");
  }

  /** Waits until the KV was taken, or cannot be any more. */
  async whenTaken(key: string, waitMs: number, signal: AbortSignal): Promise<KvNews> {
    return this.#within(this.#entry(key).taken.promise, waitMs, signal, (news) => news);
  }

  /** Ends all leases. */
  close(): void {
    for (const entry of this.#entries.values()) end(entry, "dropped");
  }

  async #within<T>(event: Promise<T>, waitMs: number, signal: AbortSignal, late: (news: KvNews) => T): Promise<T> {
    if (signal.aborted) return late("aborted");
    const { promise, resolve } = Promise.withResolvers<T>();
    const leave = (): void => resolve(late("aborted"));
    const cancel = this.#clock.after(waitMs, () => resolve(late("timeout")));
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([event, promise]);
    } finally {
      cancel();
      signal.removeEventListener("abort", leave);
    }
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key);
    if (known) return known;
    const entry: Entry = {
      ready: Promise.withResolvers(),
      taken: Promise.withResolvers(),
      isClaimed: false,
      kv: undefined,
      gone: undefined,
      cancelLease: () => undefined,
    };
    this.#entries.set(key, entry);
    for (const [oldest, { gone }] of this.#entries) {
      if (this.#entries.size <= KEPT_ENTRIES || !gone) break;
      this.#entries.delete(oldest);
    }
    return entry;
  }
}

function end(entry: Entry, news: KvNews): void {
  if (entry.gone) return;
  entry.cancelLease();
  entry.gone = news;
  entry.ready.resolve({ news });
  entry.taken.resolve(news);
}
