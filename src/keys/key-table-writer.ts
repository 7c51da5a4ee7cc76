import { GatewayError } from "../errors/errors.ts";
import { firstCell, HEADER, type KeyMemory, LOCAL_ADMIN, type LocalAdmin, ROW, ROW_BYTES } from "./key-memory.ts";
import { DIGEST_BYTES } from "./api-key.ts";
import type { KeyRecord } from "./key-record.ts";
import { FLAG } from "./key-table.ts";
import { PRIORITIES, ROLES } from "./principal.ts";
import { TextArena } from "./text-arena.ts";

/** What a row says besides its record. */
export interface RowFlags {
  readonly isLocalAdmin: boolean;
}

/** The control thread's side of the key table: the only code that changes keys in it. */
export class KeyTableWriter {
  readonly #memory: KeyMemory;
  readonly #arena: TextArena;
  readonly #capacity: number;
  readonly #rows = new Map<string, number>();
  /** Rows whose key is gone, the oldest first: requests of that key may still be in flight. */
  readonly #freeRows: number[] = [];
  /** Rows that were ever used, those that were reserved among them. */
  #usedRows = 0;
  #reservedRows = 0;

  /** `capacity`: most keys; the rows besides are for `reserveRow`. */
  constructor(memory: KeyMemory, capacity: number) {
    this.#memory = memory;
    this.#arena = new TextArena(memory.texts);
    this.#capacity = capacity;
  }

  /** Number of keys. */
  get size(): number {
    return this.#rows.size;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Says who may come without a key. */
  setAccess(isClosed: boolean, localAdmin: LocalAdmin): void {
    Atomics.store(this.#memory.header, HEADER.isClosed, isClosed ? 1 : 0);
    Atomics.store(this.#memory.header, HEADER.localAdmin, LOCAL_ADMIN.indexOf(localAdmin));
  }

  /** Whether the names and the models of all these keys find room, beside those that are there. */
  hasRoomForTexts(records: readonly KeyRecord[]): boolean {
    return this.#arena.fits(records.map(rowText));
  }

  /** Adds a key, or changes it. What it has used of its limits stays. Throws too_many_keys; then nothing has changed. */
  put(record: KeyRecord, flags: RowFlags = { isLocalAdmin: false }): void {
    const text = this.#arena.put(rowText(record));
    if (!text) throw new GatewayError("too_many_keys", NO_TEXT_ROOM);
    const known = this.#rows.get(record.id);
    const row = known ?? this.#newRow();
    if (row === undefined) {
      this.#arena.giveBack(text);
      throw new GatewayError("too_many_keys", `the gateway holds ${this.#capacity} keys at most`);
    }
    this.#change(() => {
      if (known !== undefined) this.#clear(row);
      this.#write(row, record, flags);
      const base = (row * ROW_BYTES) / 4;
      this.#memory.ints[base + ROW.textAt / 4] = text.at;
      this.#memory.ints[base + ROW.textLength / 4] = text.length;
      this.#link(row, false);
      if (record.previousDigest) this.#link(row, true);
    });
    this.#rows.set(record.id, row);
  }

  /** Takes a key away. Its requests in flight may finish. */
  remove(id: string): void {
    const row = this.#rows.get(id);
    if (row === undefined) return;
    this.#rows.delete(id);
    this.#change(() => this.#clear(row));
    this.#freeRows.push(row);
  }

  /** Takes away the keys that have expired at `now`, ms since 1970, but for those that stay whatever they are. Returns whether there were any. */
  removeExpired(now: number, stays: (id: string) => boolean): boolean {
    const { floats } = this.#memory;
    const expired = [...this.#rows].filter(
      ([id, row]) => (floats[(row * ROW_BYTES + ROW.expiresAt) / 8] ?? 0) <= now && !stays(id),
    );
    for (const [id] of expired) this.remove(id);
    return expired.length > 0;
  }

  /** A row for counts that are no key's; undefined where none is left of those that were reserved. It is not given back. */
  reserveRow(): number | undefined {
    if (this.#reservedRows >= (this.#memory.header[HEADER.capacity] ?? 0) - this.#capacity) return undefined;
    this.#reservedRows += 1;
    return this.#usedRows++;
  }

  #newRow(): number | undefined {
    if (this.#rows.size >= this.#capacity) return undefined;
    const row = this.#freeRows.shift() ?? this.#usedRows++;
    const base = row * ROW_BYTES;
    this.#memory.bits.fill(0n, (base + ROW.requestsFullAt) / 8, (base + ROW.running) / 8);
    return row;
  }

  /** Readers wait, or read again, while the version is odd or has changed. */
  #change(action: () => void): void {
    const { header } = this.#memory;
    Atomics.add(header, HEADER.version, 1);
    try {
      action();
    } finally {
      header[HEADER.count] = this.#rows.size;
      Atomics.add(header, HEADER.version, 1);
    }
  }

  #write(row: number, record: KeyRecord, { isLocalAdmin }: RowFlags): void {
    const { ints, floats, bytes } = this.#memory;
    const base = row * ROW_BYTES;
    const roles = record.roles.reduce((mask, role) => mask | (1 << (FLAG.roles + ROLES.indexOf(role))), 0);
    const priority = PRIORITIES.indexOf(record.priority) << FLAG.priority;
    ints[(base + ROW.flags) / 4] = roles | priority | (isLocalAdmin ? 1 << FLAG.isLocalAdmin : 0);
    floats[(base + ROW.expiresAt) / 8] = record.expiresAt;
    floats[(base + ROW.previousUntil) / 8] = record.previousUntil;
    floats[(base + ROW.requestsPerMinute) / 8] = record.limits.requestsPerMinute;
    floats[(base + ROW.tokensPerMinute) / 8] = record.limits.tokensPerMinute;
    floats[(base + ROW.maxConcurrent) / 8] = record.limits.maxConcurrent;
    bytes.set(record.digest, base + ROW.digest);
    bytes.set(record.previousDigest ?? NO_DIGEST, base + ROW.previousDigest);
    Atomics.add(ints, (base + ROW.version) / 4, 1);
  }

  /** Takes the row's digests out of the index and gives its text back. */
  #clear(row: number): void {
    const { ints, bytes } = this.#memory;
    const base = row * ROW_BYTES;
    this.#unlink(row, false);
    if (bytes.subarray(base + ROW.previousDigest, base + ROW.previousDigest + DIGEST_BYTES).some((byte) => byte !== 0))
      this.#unlink(row, true);
    const at = ints[(base + ROW.textAt) / 4] ?? 0;
    this.#arena.giveBack({ at, length: ints[(base + ROW.textLength) / 4] ?? 0 });
    Atomics.add(ints, (base + ROW.version) / 4, 1);
  }

  #link(row: number, isPrevious: boolean): void {
    const { index } = this.#memory;
    let at = this.#homeOf(cellOf(row, isPrevious));
    while (index[at] !== 0) at = (at + 1) & (index.length - 1);
    Atomics.store(index, at, cellOf(row, isPrevious));
  }

  /** Empties the cell, and moves those behind it up, so that no search ends too early (Knuth, volume 3, 6.4, algorithm R). */
  #unlink(row: number, isPrevious: boolean): void {
    const { index } = this.#memory;
    const mask = index.length - 1;
    const cell = cellOf(row, isPrevious);
    let hole = this.#homeOf(cell);
    while (index[hole] !== cell) {
      if (index[hole] === 0) return;
      hole = (hole + 1) & mask;
    }
    for (let at = (hole + 1) & mask; index[at] !== 0; at = (at + 1) & mask) {
      const home = this.#homeOf(index[at] ?? 0);
      // It may move up unless it would then stand before its first cell.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      Atomics.store(index, hole, index[at] ?? 0);
      hole = at;
    }
    Atomics.store(index, hole, 0);
  }

  #homeOf(cell: number): number {
    const at = ((cell >> 1) - 1) * ROW_BYTES + ((cell & 1) === 1 ? ROW.previousDigest : ROW.digest);
    return firstCell(this.#memory.bytes, at, this.#memory.index.length);
  }
}

const NO_DIGEST = new Uint8Array(DIGEST_BYTES);

function cellOf(row: number, isPrevious: boolean): number {
  return 2 * (row + 1) + (isPrevious ? 1 : 0);
}

export const NO_TEXT_ROOM = "the names and models of the keys are more text than the gateway has room for";

/** The name and the patterns of models, a line each: neither has a line break. */
export function rowText({ name, models }: KeyRecord): string {
  return [name, ...(models ?? [])].join("\n");
}
