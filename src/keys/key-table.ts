import { DIGEST_BYTES, digestOf } from "./api-key.ts";
import { firstCell, HEADER, type KeyMemory, LOCAL_ADMIN, type LocalAdmin, ROW, ROW_BYTES } from "./key-memory.ts";
import { isLimited } from "./key-record.ts";
import { type Limits, PRIORITIES, type Principal, type Role, ROLES } from "./principal.ts";

/** Bits of a row's flags. */
export const FLAG = { roles: 0, priority: 4, isLocalAdmin: 6 } as const;

/** A key of the table, as one thread has read it. */
export interface KnownKey {
  readonly principal: Principal;
  /** The `api_key` opens the administration from the gateway's own machine, where there is no admin key. */
  readonly isLocalAdmin: boolean;
  /** Version of the row that this was read from. */
  readonly version: number;
  /** ms since 1970; Infinity for never. */
  readonly expiresAt: number;
  readonly previousUntil: number;
}

/** Keys that a thread keeps as objects, a power of two: some 4 MB. Of two whose rows end in the same bits, the one that came last is kept. */
const KEPT = 16_384;
/** Most lists of models that are kept. Many keys have the same one. */
const MAX_LISTS = 1024;

/**
 * A thread's view of all keys. It finds a key by its digest in shared memory, so a key that was made or revoked counts from the next request on,
 * on each thread. A wrong key costs one digest and one look at the index.
 */
export class KeyTable {
  readonly memory: KeyMemory;
  readonly #digest = new Uint8Array(DIGEST_BYTES);
  readonly #words = new Int32Array(this.#digest.buffer);
  readonly #kept: (KnownKey | undefined)[];
  readonly #reader: RowReader;
  readonly #wallNow: () => number;

  /** `wallNow`: ms since 1970. */
  constructor(memory: KeyMemory, wallNow: () => number = Date.now) {
    this.memory = memory;
    const capacity = memory.header[HEADER.capacity] ?? 0;
    this.#kept = Array.from({ length: Math.min(KEPT, capacity) });
    this.#reader = new RowReader(memory);
    this.#wallNow = wallNow;
  }

  /** Whether a caller needs a key. */
  get isClosed(): boolean {
    return Atomics.load(this.memory.header, HEADER.isClosed) === 1;
  }

  /** What opens the administration besides a key with a role for it. */
  get localAdmin(): LocalAdmin {
    return LOCAL_ADMIN[Atomics.load(this.memory.header, HEADER.localAdmin)] ?? "nobody";
  }

  /** The key with this text; `expired` where it was valid once; undefined where there is none. */
  find(text: string): KnownKey | "expired" | undefined {
    digestOf(text, this.#digest);
    for (;;) {
      const version = this.#settledVersion();
      const cell = this.#search();
      if (cell !== 0) {
        const known = this.#read((cell >> 1) - 1);
        // The control thread may have changed the row meanwhile.
        if (Atomics.load(this.memory.header, HEADER.version) !== version) continue;
        return this.#isValid(known, (cell & 1) === 1) ? known : "expired";
      }
      if (Atomics.load(this.memory.header, HEADER.version) === version) return undefined;
    }
  }

  #isValid({ expiresAt, previousUntil }: KnownKey, isPrevious: boolean): boolean {
    if (!isPrevious && expiresAt === Number.POSITIVE_INFINITY) return true;
    return this.#wallNow() < (isPrevious ? Math.min(expiresAt, previousUntil) : expiresAt);
  }

  /** The version of the table between two changes. A change takes microseconds. */
  #settledVersion(): number {
    for (;;) {
      const version = Atomics.load(this.memory.header, HEADER.version);
      if ((version & 1) === 0) return version;
    }
  }

  /** The cell of the index for the digest; 0 where there is none. */
  #search(): number {
    const { index } = this.memory;
    for (let at = firstCell(this.#digest, 0, index.length); ; at = (at + 1) & (index.length - 1)) {
      const cell = Atomics.load(index, at);
      if (cell === 0) return 0;
      if (this.#isDigest(cell)) return cell;
    }
  }

  /** Compares all words of the digest, whichever differ. */
  #isDigest(cell: number): boolean {
    const { ints } = this.memory;
    const at = (((cell >> 1) - 1) * ROW_BYTES + ((cell & 1) === 1 ? ROW.previousDigest : ROW.digest)) / 4;
    let difference = 0;
    for (let word = 0; word < DIGEST_BYTES / 4; word += 1)
      difference |= (ints[at + word] ?? 0) ^ (this.#words[word] ?? 0);
    return difference === 0;
  }

  #read(row: number): KnownKey {
    const version = Atomics.load(this.memory.ints, (row * ROW_BYTES + ROW.version) / 4);
    const place = row & (this.#kept.length - 1);
    const kept = this.#kept[place];
    if (kept?.version === version && kept.principal.row === row) return kept;
    const known = this.#reader.read(row, version);
    this.#kept[place] = known;
    return known;
  }
}

/** Makes objects of rows. What many keys have in common is one object. */
class RowReader {
  readonly #memory: KeyMemory;
  readonly #roles: readonly (readonly Role[])[];
  readonly #lists = new Map<string, readonly string[]>();
  #lastLimits: Limits = { requestsPerMinute: 0, tokensPerMinute: 0, maxConcurrent: 0 };
  /** A copy of a row's text: another thread may write while it is decoded. */
  #copy: Buffer = Buffer.allocUnsafeSlow(256);

  constructor(memory: KeyMemory) {
    this.#memory = memory;
    this.#roles = Array.from({ length: 1 << ROLES.length }, (_, bits) =>
      ROLES.filter((_role, index) => (bits & (1 << index)) !== 0),
    );
  }

  read(row: number, version: number): KnownKey {
    const { ints, floats } = this.#memory;
    const [word, double] = [(row * ROW_BYTES) / 4, (row * ROW_BYTES) / 8];
    const flags = ints[word + ROW.flags / 4] ?? 0;
    const limits = this.#limitsAt(double);
    const text = this.#textAt(ints[word + ROW.textAt / 4] ?? 0, ints[word + ROW.textLength / 4] ?? 0);
    const end = text.indexOf("\n");
    return {
      principal: {
        name: end < 0 ? text : text.slice(0, end),
        models: end < 0 ? undefined : this.#listOf(text.slice(end + 1)),
        roles: this.#roles[(flags >> FLAG.roles) & ((1 << ROLES.length) - 1)] ?? [],
        priority: PRIORITIES[(flags >> FLAG.priority) & 3] ?? "normal",
        limits,
        row,
      },
      isLocalAdmin: (flags & (1 << FLAG.isLocalAdmin)) !== 0,
      version,
      expiresAt: floats[double + ROW.expiresAt / 8] ?? 0,
      previousUntil: floats[double + ROW.previousUntil / 8] ?? 0,
    };
  }

  /** Those of the key that was read before, where they are equal: many keys have the same ones. */
  #limitsAt(double: number): Limits | undefined {
    const { floats } = this.#memory;
    const requestsPerMinute = floats[double + ROW.requestsPerMinute / 8] ?? 0;
    const tokensPerMinute = floats[double + ROW.tokensPerMinute / 8] ?? 0;
    const maxConcurrent = floats[double + ROW.maxConcurrent / 8] ?? 0;
    const last = this.#lastLimits;
    const areEqual =
      last.requestsPerMinute === requestsPerMinute &&
      last.tokensPerMinute === tokensPerMinute &&
      last.maxConcurrent === maxConcurrent;
    if (!areEqual) this.#lastLimits = { requestsPerMinute, tokensPerMinute, maxConcurrent };
    return isLimited(this.#lastLimits) ? this.#lastLimits : undefined;
  }

  /**
   * The name, and behind it the patterns of models, each on a line of its own; see `rowText`. A change in the middle of the read may leave any
   * bytes; what was read is thrown away then.
   */
  #textAt(at: number, length: number): string {
    const { texts } = this.#memory;
    if (length > this.#copy.length) this.#copy = Buffer.allocUnsafeSlow(Math.min(2 * length, texts.length));
    for (let byte = 0; byte < length; byte += 1) this.#copy[byte] = texts[at + byte] ?? 0;
    return this.#copy.toString("utf8", 0, length);
  }

  #listOf(lines: string): readonly string[] {
    let list = this.#lists.get(lines);
    if (!list) {
      list = lines.split("\n");
      if (this.#lists.size >= MAX_LISTS) this.#lists.clear();
      this.#lists.set(lines, list);
    }
    return list;
  }
}
