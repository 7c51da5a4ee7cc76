import { GatewayError } from "../errors/errors.ts";
import type { Clock } from "../util/clock.ts";
import { isLimited, UNLIMITED } from "./key-record.ts";
import { type KeyMemory, ROW, ROW_BYTES } from "./key-memory.ts";
import { isIdle } from "./limits.ts";
import type { Limits } from "./principal.ts";
import type { VerifiedToken } from "./token-claims.ts";

export interface SubjectRowsParts {
  readonly memory: KeyMemory;
  /** A row that nobody has had; undefined where none is left. */
  readonly newRow: () => number | undefined;
  readonly clock: Clock;
}

/** Requests at once where no bound of them is set. They are counted all the same, as a row with requests in flight is no other bearer's. */
const MANY = 1_000_000_000;
/** After a search that found no row, the next one is made this much later, ms. */
const SEARCH_AGAIN_MS = 1000;

/**
 * Gives the bearers of tokens rows of the key table, on the control thread: so their limits are counted as those of keys are, over all
 * threads. There are as many rows as were reserved; where all are taken, the row of a bearer with nothing in flight and full buckets goes
 * to the next one, of those the one whose token was verified longest ago. Nothing is lost with it: it begins anew with full buckets.
 */
export class SubjectRows {
  readonly #parts: SubjectRowsParts;
  /** By name, the one whose token was verified longest ago first. */
  readonly #rows = new Map<string, number>();
  #limits: Limits = UNLIMITED;
  #searchAt = 0;

  constructor(parts: SubjectRowsParts) {
    this.#parts = parts;
  }

  /** Sets the limits of each bearer. What it has used stays counted. Tokens that were admitted before have to be admitted again. */
  replace(limits: Limits): void {
    this.#limits = limits;
  }

  /** The token with the limits of its bearer. Throws rate_limit_exceeded where the rows are all of bearers that ask just now. */
  admit(verified: VerifiedToken): VerifiedToken {
    const { principal } = verified;
    if (!isLimited(this.#limits) || !principal.roles.includes("client")) return verified;
    const row = this.#rowOf(principal.name);
    const limits = { ...this.#limits, maxConcurrent: Math.min(this.#limits.maxConcurrent, MANY) };
    return { ...verified, principal: { ...principal, limits, row }, rowVersion: rowVersion(this.#parts.memory, row) };
  }

  #rowOf(name: string): number {
    const row = this.#rows.get(name) ?? this.#parts.newRow() ?? this.#idleRow();
    this.#rows.delete(name);
    this.#rows.set(name, row);
    return row;
  }

  /** Takes the row of a bearer that has nothing counted. */
  #idleRow(): number {
    const { memory, clock } = this.#parts;
    const now = clock.now();
    if (now >= this.#searchAt) {
      for (const [name, row] of this.#rows) {
        if (!isIdle(memory, row, now)) continue;
        this.#rows.delete(name);
        Atomics.add(memory.ints, versionCell(row), 1);
        return row;
      }
      this.#searchAt = now + SEARCH_AGAIN_MS;
    }
    const message = `${this.#rows.size} bearers of tokens have asked within the last minute, which is the most that are counted`;
    throw new GatewayError("rate_limit_exceeded", message, { retryAfterSecs: 5 });
  }
}

/** The version of a row: another one is another bearer's, or a changed key. */
export function rowVersion({ ints }: KeyMemory, row: number): number {
  return Atomics.load(ints, versionCell(row));
}

function versionCell(row: number): number {
  return (row * ROW_BYTES + ROW.version) / 4;
}
