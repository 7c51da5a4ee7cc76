import { DIGEST_BYTES, digestOf } from "./api-key.ts";
import { firstCell, HEADER, type KeyMemory, LOCAL_ADMIN, type LocalAdmin, ROW, ROW_BYTES } from "./key-memory.ts";
import { isLimited } from "./key-record.ts";
import { type Limits, PRIORITIES, type Principal, ROLES } from "./principal.ts";

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

/** Most keys that a thread keeps as objects. The next use of another one reads its row again, which takes 2 µs. */
const MAX_KEPT = 16_384;

/**
 * A thread's view of all keys. It finds a key by its digest in shared memory, so a key that was made or revoked counts from the next request on,
 * on each thread. A wrong key costs one digest and one look at the index.
 */
export class KeyTable {
  readonly memory: KeyMemory;
  readonly #digest = new Uint8Array(DIGEST_BYTES);
  readonly #kept = new Map<number, KnownKey>();
  readonly #wallNow: () => number;

  /** `wallNow`: ms since 1970. */
  constructor(memory: KeyMemory, wallNow: () => number = Date.now) {
    this.memory = memory;
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
    const digest = digestOf(text, this.#digest);
    for (;;) {
      const version = this.#settledVersion();
      const cell = this.#search(digest);
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

  /** The cell of the index for this digest; 0 where there is none. */
  #search(digest: Uint8Array): number {
    const { index } = this.memory;
    for (let at = firstCell(digest, 0, index.length); ; at = (at + 1) & (index.length - 1)) {
      const cell = Atomics.load(index, at);
      if (cell === 0) return 0;
      if (this.#isDigest(digest, cell)) return cell;
    }
  }

  /** Compares all bytes, whichever differ. */
  #isDigest(digest: Uint8Array, cell: number): boolean {
    const { bytes } = this.memory;
    const at = ((cell >> 1) - 1) * ROW_BYTES + ((cell & 1) === 1 ? ROW.previousDigest : ROW.digest);
    let difference = 0;
    for (let byte = 0; byte < DIGEST_BYTES; byte += 1) difference |= (bytes[at + byte] ?? 0) ^ (digest[byte] ?? 0);
    return difference === 0;
  }

  #read(row: number): KnownKey {
    const version = Atomics.load(this.memory.ints, (row * ROW_BYTES + ROW.version) / 4);
    const kept = this.#kept.get(row);
    if (kept?.version === version) return kept;
    const known = readRow(this.memory, row, version);
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(row, known);
    return known;
  }
}

function readRow(memory: KeyMemory, row: number, version: number): KnownKey {
  const { ints, floats, texts } = memory;
  const int = (offset: number): number => ints[(row * ROW_BYTES + offset) / 4] ?? 0;
  const float = (offset: number): number => floats[(row * ROW_BYTES + offset) / 8] ?? 0;
  const flags = int(ROW.flags);
  const { name, models } = readText(texts, int(ROW.textAt), int(ROW.textLength));
  const limits: Limits = {
    requestsPerMinute: float(ROW.requestsPerMinute),
    tokensPerMinute: float(ROW.tokensPerMinute),
    maxConcurrent: float(ROW.maxConcurrent),
  };
  return {
    principal: {
      name,
      models,
      roles: ROLES.filter((_role, index) => (flags & (1 << (FLAG.roles + index))) !== 0),
      priority: PRIORITIES[(flags >> FLAG.priority) & 3] ?? "normal",
      limits: isLimited(limits) ? limits : undefined,
      row,
    },
    isLocalAdmin: (flags & (1 << FLAG.isLocalAdmin)) !== 0,
    version,
    expiresAt: float(ROW.expiresAt),
    previousUntil: float(ROW.previousUntil),
  };
}

/** The name, and behind it the patterns of models, each on a line of its own; see `rowText`. */
function readText(texts: Uint8Array, at: number, length: number): Pick<Principal, "name" | "models"> {
  // A change in the middle of the read may leave any bytes; what was read is thrown away then.
  const [name = "", ...models] = Buffer.from(texts.slice(at, at + length))
    .toString("utf8")
    .split("\n");
  return { name, models: models.length === 0 ? undefined : models };
}
