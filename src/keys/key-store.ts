import type { KeyRecord } from "./key-record.ts";
import type { UsageQuery, UsageRow, UsageTotal } from "./usage.ts";

/** Keys that were made or changed, and how far the caller has then read. */
export interface KeyChanges {
  readonly keys: readonly KeyRecord[];
  /** Position behind these changes, to ask from the next time. */
  readonly position: number;
}

/**
 * Where keys and their usage are kept. The gateway reads all valid keys at the start and then only changes, by position: another process (the
 * command line, a second gateway) may write to the same store, and each learns of the others' changes. Nothing of it is on the way of a request.
 *
 * All methods may be remote: they return promises, and reject with key_store_failed where the store is away. `usage` is only ever added to, so several gateways add
 * theirs without knowing of each other. What budgets need, a part of what is left that a gateway takes in advance and settles later, is a
 * table of its own beside these, with the same rule: additions, never values that were read before.
 */
export interface KeyStore extends AsyncDisposable {
  /** Passes each key that is neither revoked nor expired to `take`, and holds no more of them than one page. Resolves with the position. */
  load(take: (record: KeyRecord) => void): Promise<number>;
  /** Keys that were made, changed or revoked behind the position; those that have expired too. */
  changesSince(position: number): Promise<KeyChanges>;
  /** All keys, in the order in which they were made; `after`: behind the one with this id. */
  list(limit: number, after?: string): Promise<readonly KeyRecord[]>;
  /** The key with this id; else the valid one with this name; else the last one that had it. */
  find(idOrName: string): Promise<KeyRecord | undefined>;
  /** Rejects with key_exists where a valid key has the name. */
  insert(record: KeyRecord): Promise<void>;
  /** Changes a key by what it is at that moment. Rejects with key_not_found, and with what `change` throws. */
  update(id: string, change: (record: KeyRecord) => KeyRecord): Promise<KeyRecord>;
  /** Adds what was used. */
  addUsage(rows: readonly UsageRow[]): Promise<void>;
  /** What was used, summed up as asked for, in order of time and name. */
  usage(query: UsageQuery): Promise<readonly UsageTotal[]>;
}
