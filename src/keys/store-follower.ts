import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import type { KeyRecord } from "./key-record.ts";
import type { KeyRing } from "./key-ring.ts";
import type { KeyStore } from "./key-store.ts";

export interface StoreFollowerParts {
  readonly store: Pick<KeyStore, "load" | "changesSince">;
  readonly ring: Pick<KeyRing, "apply" | "hasFixed">;
  /** Is told of each key that another process has changed. */
  readonly onForeignChange: (record: KeyRecord) => void;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Time between two looks at the store, ms. A look at a file that nobody has changed takes microseconds. */
const LOOK_MS = 500;

/** Keys after which the garbage of reading them is collected, at the start. */
const COLLECT_AFTER = 10_000;

/**
 * Brings the keys of a store into the table: all of them at the start, and then what other processes change. While the store cannot be read,
 * the keys that are known stay in force.
 */
export class StoreFollower implements Disposable {
  readonly #parts: StoreFollowerParts;
  /** Ids of keys that this process has changed since the last look. */
  readonly #own = new Set<string>();
  #position = 0;
  #isFailing = false;
  #isClosed = false;
  #cancel: (() => void) | undefined;

  private constructor(parts: StoreFollowerParts) {
    this.#parts = parts;
  }

  /** Reads all keys. Rejects with the store's error, and with too_many_keys. */
  static async start(parts: StoreFollowerParts): Promise<StoreFollower> {
    const follower = new StoreFollower(parts);
    let read = 0;
    follower.#position = await parts.store.load((record) => {
      parts.ring.apply(record);
      follower.#lookAtName(record);
      read += 1;
      // What was read to fill the table is garbage: of a hundred thousand keys, more than the table itself.
      if (read % COLLECT_AFTER === 0) Bun.gc(true);
    });
    follower.#schedule();
    return follower;
  }

  /** This process has changed the key, and applied the change. */
  noteOwn({ id }: KeyRecord): void {
    this.#own.add(id);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #schedule(): void {
    if (!this.#isClosed) this.#cancel = this.#parts.clock.after(LOOK_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { store, logger } = this.#parts;
    try {
      const { keys, position } = await store.changesSince(this.#position);
      this.#position = position;
      for (const record of keys) this.#take(record);
      if (this.#isFailing) logger.info({}, "the key store is there again");
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing)
        logger.error({ error: String(error) }, "the key store cannot be read; known keys stay in force");
      this.#isFailing = true;
    }
    this.#schedule();
  }

  #take(record: KeyRecord): void {
    const { ring, onForeignChange, logger } = this.#parts;
    try {
      ring.apply(record);
    } catch (error) {
      logger.error({ key: record.name, error: String(error) }, "a key of the store is not in force");
    }
    if (this.#own.delete(record.id)) return;
    this.#lookAtName(record);
    onForeignChange(record);
  }

  /** The administration refuses such a name, but a process that changes the file itself does not know the configuration. */
  #lookAtName({ id, name, revokedAt }: KeyRecord): void {
    const { ring, logger } = this.#parts;
    if (revokedAt === undefined && ring.hasFixed(name))
      logger.warn(
        { key: name, id },
        "a key of the store has the name of a key of the configuration: the usage of both is counted as one",
      );
  }
}
