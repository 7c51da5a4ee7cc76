import { GatewayError } from "../errors/errors.ts";
import { createKey } from "./api-key.ts";
import type { KeyRecord } from "./key-record.ts";
import type { KeyStore } from "./key-store.ts";
import { changedKeySchema, newKeySchema, plainWish, readWish, rotationSchema, wished } from "./key-wish.ts";

/** A key with its text, which is shown this once. */
export interface ShownKey {
  readonly record: KeyRecord;
  readonly text: string;
}

/** Makes, changes, rotates and revokes the keys of a store: for the command line, and for the administration of a running gateway. */
export class KeyAdmin {
  readonly #store: KeyStore;
  readonly #wallNow: () => number;

  /** `wallNow`: ms since 1970. */
  constructor(store: KeyStore, wallNow: () => number = Date.now) {
    this.#store = store;
    this.#wallNow = wallNow;
  }

  list(limit: number, after?: string): Promise<readonly KeyRecord[]> {
    return this.#store.list(limit, after);
  }

  /** Rejects with key_not_found. */
  async show(idOrName: string): Promise<KeyRecord> {
    const record = await this.#store.find(idOrName);
    if (!record) throw new GatewayError("key_not_found", "no key has this id or name");
    return record;
  }

  /** `wish`: `newKeySchema`. Rejects with invalid_request, key_exists. */
  async create(wish: unknown): Promise<ShownKey> {
    const read = readWish(newKeySchema, wish);
    const now = this.#wallNow();
    const { id, text, digest } = createKey();
    const record: KeyRecord = {
      ...wished(plainWish(read.name), read, now),
      id,
      digest,
      previousDigest: undefined,
      previousUntil: 0,
      createdAt: now,
      revokedAt: undefined,
    };
    await this.#store.insert(record);
    return { record, text };
  }

  /** `wish`: `changedKeySchema`. Rejects with invalid_request, key_not_found, key_exists. */
  async update(idOrName: string, wish: unknown): Promise<KeyRecord> {
    const read = readWish(changedKeySchema, wish);
    const { id } = await this.show(idOrName);
    return this.#store.update(id, (record) => ({ ...valid(record), ...wished(record, read, this.#wallNow()) }));
  }

  /**
   * Gives the key a new text; the old one stays valid for a time, a day where `wish` (`rotationSchema`) says nothing. A text of an earlier rotation
   * is not valid any more. Rejects with invalid_request, key_not_found.
   */
  async rotate(idOrName: string, wish: unknown = {}): Promise<ShownKey> {
    const { grace_secs: graceSecs } = readWish(rotationSchema, wish);
    const { id } = await this.show(idOrName);
    const { text, digest } = createKey(id);
    const record = await this.#store.update(id, (before) => ({
      ...valid(before),
      digest,
      previousDigest: graceSecs === 0 ? undefined : before.digest,
      previousUntil: graceSecs === 0 ? 0 : Math.round(this.#wallNow() + graceSecs * 1000),
    }));
    return { record, text };
  }

  /** The key is valid no more, in either text. To revoke it twice changes nothing. Rejects with key_not_found. */
  async revoke(idOrName: string): Promise<KeyRecord> {
    const { id } = await this.show(idOrName);
    return this.#store.update(id, (record) => ({ ...record, revokedAt: record.revokedAt ?? this.#wallNow() }));
  }
}

/** Throws key_not_found for a revoked key: it is there to be looked at only. */
function valid(record: KeyRecord): KeyRecord {
  if (record.revokedAt === undefined) return record;
  throw new GatewayError("key_not_found", "this key was revoked");
}
