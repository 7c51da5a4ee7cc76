import { GatewayError } from "../../src/errors/errors.ts";
import type { KeyRecord } from "../../src/keys/key-record.ts";
import type { KeyChanges, KeyStore } from "../../src/keys/key-store.ts";
import { type UsageQuery, type UsageRow, type UsageTotal, WINDOW_MS } from "../../src/keys/usage.ts";

/** A store in memory, with what each promise of the interface means and nothing else. */
export class MemoryKeyStore implements KeyStore {
  /** By id, in the order in which they were made. */
  readonly #keys = new Map<string, { readonly record: KeyRecord; readonly position: number }>();
  readonly #usage: UsageRow[] = [];
  readonly #now: () => number;
  #position = 0;
  /** While it is set, all methods reject with it. */
  failure: Error | undefined;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async load(take: (record: KeyRecord) => void): Promise<number> {
    this.#check();
    const isValid = ({ revokedAt, expiresAt }: KeyRecord): boolean =>
      revokedAt === undefined && expiresAt > this.#now();
    for (const record of this.#records().filter(isValid)) take(record);
    return this.#position;
  }

  async changesSince(position: number): Promise<KeyChanges> {
    this.#check();
    const changed = [...this.#keys.values()].filter((entry) => entry.position > position);
    const keys = changed.toSorted((one, other) => one.position - other.position).map(({ record }) => record);
    return { keys, position: this.#position };
  }

  async list(limit: number, after?: string): Promise<readonly KeyRecord[]> {
    this.#check();
    const ids = [...this.#keys.keys()];
    if (after !== undefined && !ids.includes(after)) return [];
    const first = after === undefined ? 0 : ids.indexOf(after) + 1;
    return this.#records().slice(first, first + limit);
  }

  async find(idOrName: string): Promise<KeyRecord | undefined> {
    this.#check();
    const named = this.#records().filter(({ name }) => name === idOrName);
    return this.#keys.get(idOrName)?.record ?? named.find(({ revokedAt }) => revokedAt === undefined) ?? named.at(-1);
  }

  async insert(record: KeyRecord): Promise<void> {
    this.#check();
    this.#put(record);
  }

  async update(id: string, change: (record: KeyRecord) => KeyRecord): Promise<KeyRecord> {
    this.#check();
    const entry = this.#keys.get(id);
    if (!entry) throw new GatewayError("key_not_found", "no key has this id");
    const record = change(entry.record);
    this.#put(record);
    return record;
  }

  async addUsage(rows: readonly UsageRow[]): Promise<void> {
    this.#check();
    this.#usage.push(...rows);
  }

  async usage({ window, from, to, by, key, model, limit }: UsageQuery): Promise<readonly UsageTotal[]> {
    this.#check();
    const sums = new Map<string, UsageTotal>();
    for (const row of this.#usage) {
      const time = Math.floor(row.minute / WINDOW_MS[window]) * WINDOW_MS[window];
      if (time < from || time >= to || (key ?? row.key) !== row.key || (model ?? row.model) !== row.model) continue;
      const group = {
        time: by.includes("time") ? time : undefined,
        key: by.includes("key") ? row.key : undefined,
        model: by.includes("model") ? row.model : undefined,
      };
      const at = JSON.stringify([String(group.time ?? "").padStart(20), group.key, group.model]);
      const known = sums.get(at);
      sums.set(at, {
        ...group,
        requests: row.requests + (known?.requests ?? 0),
        errors: row.errors + (known?.errors ?? 0),
        promptTokens: row.promptTokens + (known?.promptTokens ?? 0),
        completionTokens: row.completionTokens + (known?.completionTokens ?? 0),
        cachedTokens: row.cachedTokens + (known?.cachedTokens ?? 0),
      });
    }
    const sorted = [...sums].toSorted(([one], [other]) => (one < other ? -1 : 1));
    return sorted.map(([, total]) => total).slice(0, limit);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #put(record: KeyRecord): void {
    for (const { record: other } of this.#keys.values()) {
      const isTaken = other.id !== record.id && other.name === record.name && other.revokedAt === undefined;
      if (isTaken && record.revokedAt === undefined) throw new GatewayError("key_exists", "a valid key has the name");
    }
    this.#position += 1;
    this.#keys.set(record.id, { record, position: this.#position });
  }

  #records(): KeyRecord[] {
    return Array.from(this.#keys.values(), ({ record }) => record);
  }

  #check(): void {
    if (this.failure) throw this.failure;
  }
}
