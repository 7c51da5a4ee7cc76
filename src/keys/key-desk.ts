import { GatewayError } from "../errors/errors.ts";
import { KeyAdmin, type ShownKey } from "./key-admin.ts";
import type { KeyRecord } from "./key-record.ts";
import type { KeyRing } from "./key-ring.ts";
import type { KeyStore } from "./key-store.ts";
import { type KeyOrigin, keyView } from "./key-view.ts";
import type { UsageQuery, UsageTotal } from "./usage.ts";

export interface KeyDeskParts {
  readonly ring: KeyRing;
  /** undefined where the gateway has none: then keys are in the configuration only. */
  readonly store: KeyStore | undefined;
  /** Is told of each change, before it is answered. */
  readonly onChange: (record: KeyRecord) => void;
  /** ms since 1970. */
  readonly wallNow?: () => number;
}

/** The administration of keys on a running gateway. A change is in force on all threads when its promise resolves. */
export class KeyDesk {
  readonly #parts: KeyDeskParts;
  readonly #admin: KeyAdmin | undefined;
  readonly #wallNow: () => number;

  constructor(parts: KeyDeskParts) {
    this.#parts = parts;
    this.#wallNow = parts.wallNow ?? Date.now;
    this.#admin = parts.store && new KeyAdmin(parts.store, this.#wallNow);
  }

  /** Keys of the configuration, on the first page, and those of the store; `after`: an id of the store. */
  async list(limit: number, after?: string): Promise<readonly object[]> {
    const fixed =
      after === undefined ? this.#parts.ring.fixed().map((record) => this.#view(record, "configuration")) : [];
    const stored = (await this.#admin?.list(limit, after)) ?? [];
    return [...fixed, ...stored.map((record) => this.#view(record))];
  }

  /** Rejects with key_not_found. */
  async show(idOrName: string): Promise<object> {
    const fixed = this.#fixed(idOrName);
    if (fixed) return this.#view(fixed, "configuration");
    if (!this.#admin) throw new GatewayError("key_not_found", "no key has this id or name");
    return this.#view(await this.#admin.show(idOrName));
  }

  /** Rejects with invalid_request, key_exists, too_many_keys, no_key_store. */
  async create(wish: unknown): Promise<ShownKey & { readonly view: object }> {
    const admin = this.#stored();
    this.#parts.ring.checkRoom();
    const shown = await admin.create(this.#free(wish));
    return { ...shown, view: this.#taken(shown.record) };
  }

  /** Rejects with invalid_request, key_not_found, key_exists, key_is_fixed, no_key_store. */
  async update(idOrName: string, wish: unknown): Promise<{ readonly record: KeyRecord; readonly view: object }> {
    const record = await this.#stored(idOrName).update(idOrName, this.#free(wish));
    return { record, view: this.#taken(record) };
  }

  /** Rejects with invalid_request, key_not_found, key_is_fixed, no_key_store. */
  async rotate(idOrName: string, wish: unknown): Promise<ShownKey & { readonly view: object }> {
    const shown = await this.#stored(idOrName).rotate(idOrName, wish);
    return { ...shown, view: this.#taken(shown.record) };
  }

  /** Rejects with key_not_found, key_is_fixed, no_key_store. */
  async revoke(idOrName: string): Promise<{ readonly record: KeyRecord; readonly view: object }> {
    const record = await this.#stored(idOrName).revoke(idOrName);
    return { record, view: this.#taken(record) };
  }

  /** Rejects with no_key_store. */
  async usage(query: UsageQuery): Promise<readonly UsageTotal[]> {
    const { store } = this.#parts;
    if (!store) throw new GatewayError("no_key_store", "usage is kept where the gateway has a `key_store`");
    return store.usage(query);
  }

  #taken(record: KeyRecord): object {
    this.#parts.ring.apply(record);
    this.#parts.onChange(record);
    return this.#view(record);
  }

  #view(record: KeyRecord, origin: KeyOrigin = "store"): object {
    return keyView(record, origin, this.#wallNow());
  }

  #fixed(idOrName: string): KeyRecord | undefined {
    return this.#parts.ring.fixed().find(({ id, name }) => id === idOrName || name === idOrName);
  }

  /** Throws no_key_store, and key_is_fixed for a key of the configuration. */
  #stored(idOrName?: string): KeyAdmin {
    if (idOrName !== undefined && this.#fixed(idOrName))
      throw new GatewayError("key_is_fixed", "this key is in the configuration: change it there");
    if (this.#admin) return this.#admin;
    throw new GatewayError(
      "no_key_store",
      "set `key_store`, where the gateway keeps the keys that are made while it runs",
    );
  }

  /** Throws key_exists where the wish names a key of the configuration: usage is counted by name. */
  #free(wish: unknown): unknown {
    const name = typeof wish === "object" && wish !== null && "name" in wish ? wish.name : undefined;
    if (typeof name === "string" && this.#fixed(name)) {
      throw new GatewayError("key_exists", `a key of the configuration is named ${JSON.stringify(name)} already`, {
        param: "name",
      });
    }
    return wish;
  }
}
