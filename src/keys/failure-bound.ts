import type { Clock } from "../util/clock.ts";
import { take } from "./token-bucket.ts";

/** Time after the last wrong key beyond the bound for which a flood is thought to go on, ms. */
const FLOOD_MS = 10_000;
/**
 * New tokens that are verified in a second for all addresses together whose wrong keys are used up. One takes some 0.2 ms of CPU, so that a flood
 * of made-up ones would leave nothing for right keys.
 */
const MAX_TOKENS = 100;
const SECOND_MS = 1000;
/** Most addresses that are counted. The one that was counted first is forgotten for a new one. */
const MAX_ADDRESSES = 4096;

/**
 * Bounds how many wrong keys of one address are answered, logged and counted like other requests. Beyond that the address gets a short
 * refusal. It does not keep a right key out: behind one address there may be a thousand clients.
 */
export class FailureBound {
  #perMinute: number;
  readonly #clock: Clock;
  /** When the bucket of each address is full again; see `token-bucket.ts`. */
  readonly #fullAt = new Map<string, number>();
  #floodedUntil = Number.NEGATIVE_INFINITY;
  /** The second in which tokens are counted, and how many were verified in it. */
  #secondEndsAt = Number.NEGATIVE_INFINITY;
  #tokens = 0;

  /** `perMinute`: Infinity for no bound. */
  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  replace(perMinute: number): void {
    this.#perMinute = perMinute;
    this.#fullAt.clear();
    this.#floodedUntil = Number.NEGATIVE_INFINITY;
  }

  /** Whether a wrong key beyond the bound came in the last ten seconds, of any address. */
  get isFlooded(): boolean {
    return this.#clock.recent() < this.#floodedUntil;
  }

  /** Counts a wrong key. Returns whether it is beyond the bound. */
  isBeyond(address: string): boolean {
    if (this.#perMinute === Number.POSITIVE_INFINITY) return false;
    const now = this.#clock.now();
    const known = this.#fullAt.get(address);
    const next = take(known ?? 0, now, 1, this.#perMinute);
    if (known === undefined && this.#fullAt.size >= MAX_ADDRESSES) this.#forgetOne();
    if (next === undefined) {
      this.#floodedUntil = now + FLOOD_MS;
      return true;
    }
    this.#fullAt.set(address, next);
    return false;
  }

  /** Whether the next wrong key of the address will be beyond the bound. Counts nothing. */
  isUsedUp(address: string): boolean {
    const known = this.#fullAt.get(address);
    return known !== undefined && take(known, this.#clock.now(), 1, this.#perMinute) === undefined;
  }

  /** Whether a token of this address that nobody knows yet may be verified now. Where it may, it is counted. */
  mayVerify(address: string): boolean {
    if (!this.isUsedUp(address)) return true;
    const now = this.#clock.now();
    if (now >= this.#secondEndsAt) {
      this.#secondEndsAt = now + SECOND_MS;
      this.#tokens = 0;
    }
    this.#tokens += 1;
    return this.#tokens <= MAX_TOKENS;
  }

  #forgetOne(): void {
    const [first] = this.#fullAt.keys();
    if (first !== undefined) this.#fullAt.delete(first);
  }
}
