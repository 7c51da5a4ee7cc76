import { GatewayError } from "../errors/errors.ts";
import type { Clock } from "../util/clock.ts";
import { allocateKeyMemory, type KeyMemory, type LocalAdmin, openKeyMemory, TEXT_BYTES } from "./key-memory.ts";
import type { KeyRecord } from "./key-record.ts";
import { KeyTable } from "./key-table.ts";
import { KeyTableWriter, NO_TEXT_ROOM, rowText } from "./key-table-writer.ts";
import { SubjectRows } from "./subject-rows.ts";
import { slotOf } from "./text-arena.ts";
import { behindControl, KeyLimits, noteControlClock, releaseThreadRequests } from "./limits.ts";

/** A key of the configuration. */
export interface FixedKey {
  readonly record: KeyRecord;
  /** The `api_key`, where it opens the administration from the gateway's own machine. */
  readonly isLocalAdmin: boolean;
}

/** The keys of the configuration, and who may come without one. */
export interface FixedKeys {
  readonly keys: readonly FixedKey[];
  /** Whether a caller of the serving routes needs a key. */
  readonly isClosed: boolean;
  readonly localAdmin: LocalAdmin;
}

export interface KeyRingParts {
  readonly fixed: FixedKeys;
  /** Most keys. */
  readonly capacity: number;
  /** Most bearers of tokens whose limits are counted; none where no tokens are taken. */
  readonly bearers?: number;
  readonly threads: number;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly wallNow?: () => number;
}

/** Keys that a gateway without a store holds at least, so that some can be added to its configuration while it runs. */
const LEAST_CAPACITY = 1024;
/** How many times the texts of the configuration's keys find room, so that it may have longer ones while the gateway runs. */
const TEXT_GROWTH = 4;

/** All keys of the gateway, on the control thread: those of the configuration and those of a store. The threads read the same memory. */
export class KeyRing {
  readonly memory: KeyMemory;
  readonly #writer: KeyTableWriter;
  readonly #clock: Clock;
  readonly #wallNow: () => number;
  #fixed: ReadonlyMap<string, FixedKey> = new Map();

  /** Throws too_many_keys. */
  constructor({ fixed, capacity, bearers = 0, threads, clock, wallNow = Date.now }: KeyRingParts) {
    const rows = powerOfTwo(Math.max(LEAST_CAPACITY, capacity, 2 * fixed.keys.length) + bearers);
    const fixedBytes = fixed.keys.reduce((sum, { record }) => sum + slotOf(rowText(record)), 0);
    const textBytes = rows * TEXT_BYTES + TEXT_GROWTH * fixedBytes;
    this.memory = openKeyMemory(allocateKeyMemory(rows, threads, textBytes));
    this.#writer = new KeyTableWriter(this.memory, rows - bearers);
    this.#clock = clock;
    this.#wallNow = wallNow;
    this.replace(fixed);
  }

  /** The keys as the control thread looks them up. */
  table(): KeyTable {
    return new KeyTable(this.memory);
  }

  /** Counts the requests of the only thread. */
  limits(): KeyLimits {
    return new KeyLimits(this.memory, 0, this.#clock);
  }

  /** Counts the requests of bearers of tokens, in the rows that were reserved for them. */
  subjects(): SubjectRows {
    return new SubjectRows({ memory: this.memory, newRow: () => this.#writer.reserveRow(), clock: this.#clock });
  }

  /** Throws too_many_keys where the keys of a changed configuration do not fit; nothing changes. */
  check({ keys }: FixedKeys): void {
    const records = keys.map(({ record }) => record);
    const { capacity } = this.#writer;
    const haveRows = (): boolean => this.#writer.size - this.#fixed.size + keys.length <= capacity;
    const haveTexts = (): boolean => this.#writer.hasRoomForTexts(records);
    if (!(haveRows() && haveTexts())) this.#removeExpired();
    if (!haveRows())
      throw new GatewayError("too_many_keys", `the gateway holds ${capacity} keys at most; start it anew`);
    if (!haveTexts()) throw new GatewayError("too_many_keys", `${NO_TEXT_ROOM}; start it anew`);
  }

  /** Puts the keys of a changed configuration in the place of those before, on all threads at once. Throws too_many_keys; nothing changes then. */
  replace(next: FixedKeys): void {
    this.check(next);
    const fixed = new Map(next.keys.map((key) => [key.record.id, key]));
    // Nobody comes in without a key in between: what closes comes first, what opens last.
    if (next.isClosed) this.#writer.setAccess(true, next.localAdmin);
    for (const id of this.#fixed.keys()) if (!fixed.has(id)) this.#writer.remove(id);
    for (const { record, isLocalAdmin } of fixed.values()) this.#writer.put(record, { isLocalAdmin });
    if (!next.isClosed) this.#writer.setAccess(false, next.localAdmin);
    this.#fixed = fixed;
  }

  /** Puts a key of the store in force as it is now, or takes it away where it is not valid any more. Throws too_many_keys. */
  apply(record: KeyRecord): void {
    if (record.revokedAt !== undefined || record.expiresAt <= this.#wallNow()) {
      this.#writer.remove(record.id);
      return;
    }
    try {
      this.#writer.put(record);
    } catch (error) {
      if (!this.#removeExpired()) throw error;
      this.#writer.put(record);
    }
  }

  /** Throws too_many_keys where one more does not fit. */
  checkRoom(): void {
    const { size, capacity } = this.#writer;
    if (size < capacity || this.#removeExpired()) return;
    throw new GatewayError("too_many_keys", `the gateway holds ${capacity} keys at most`);
  }

  /** Keys of the store that have expired are known, so that their callers are told so, until their room is wanted. Returns whether there is more room now. */
  #removeExpired(): boolean {
    return this.#writer.removeExpired(this.#wallNow(), (id) => this.#fixed.has(id));
  }

  /** The keys of the configuration. */
  fixed(): KeyRecord[] {
    return Array.from(this.#fixed.values(), ({ record }) => record);
  }

  /** Whether a key of the configuration has this name. */
  hasFixed(name: string): boolean {
    for (const { record } of this.#fixed.values()) if (record.name === name) return true;
    return false;
  }

  /** Called right before a thread starts. */
  noteClock(): void {
    noteControlClock(this.memory, this.#clock);
  }

  /** A thread is over: what it held of its callers' limits is given back. */
  releaseThread(thread: number): void {
    releaseThreadRequests(this.memory, thread);
  }
}

/** A serving thread's view of the ring, over the same memory. */
export function openThreadKeys(
  buffer: SharedArrayBuffer,
  thread: number,
  clock: Clock,
): { readonly table: KeyTable; readonly limits: KeyLimits } {
  const memory = openKeyMemory(buffer);
  return {
    table: new KeyTable(memory),
    limits: new KeyLimits(memory, thread, clock, behindControl(memory, clock)),
  };
}

function powerOfTwo(least: number): number {
  let size = 1;
  while (size < least) size *= 2;
  return size;
}
