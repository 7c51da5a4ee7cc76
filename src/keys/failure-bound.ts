import type { Clock } from "../util/clock.ts";
import { take } from "./token-bucket.ts";

/** Time after the last wrong key beyond the bound for which a flood is thought to go on, ms. */
const FLOOD_MS = 10_000;
/**
 * Time between two new tokens that are verified for addresses whose wrong keys are used up, all of them together, ms. One takes some 0.4 ms of
 * CPU (ES256, Bun 1.4.5, 2026-11-27): a flood of made-up ones would leave nothing for right keys. So all of them take less than a hundredth.
 */
const TOKEN_MS = 50;
/** Most networks that are counted. The one that was counted first is forgotten for a new one. */
const MAX_NETWORKS = 4096;

/**
 * Bounds how many wrong keys of one address are answered, logged and counted like other requests. Beyond that the address gets a short
 * refusal. It does not keep a right key out: behind one address there may be a thousand clients.
 */
export class FailureBound {
  #perMinute: number;
  readonly #clock: Clock;
  /** When the bucket of each network is full again; see `token-bucket.ts`. */
  readonly #fullAt = new Map<string, number>();
  #floodedUntil = Number.NEGATIVE_INFINITY;
  /** When the next new token may be verified for an address whose wrong keys are used up. */
  #nextTokenAt = Number.NEGATIVE_INFINITY;

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
    const network = networkOf(address);
    const known = this.#fullAt.get(network);
    const next = take(known ?? 0, now, 1, this.#perMinute);
    if (known === undefined && this.#fullAt.size >= MAX_NETWORKS) this.#forgetOne();
    if (next === undefined) {
      this.#floodedUntil = now + FLOOD_MS;
      return true;
    }
    this.#fullAt.set(network, next);
    return false;
  }

  /** Whether the next wrong key of the address will be beyond the bound. Counts nothing. */
  isUsedUp(address: string): boolean {
    const known = this.#fullAt.get(networkOf(address));
    return known !== undefined && take(known, this.#clock.now(), 1, this.#perMinute) === undefined;
  }

  /** Whether a token of this address that nobody knows yet may be verified now. Where it may, the next one waits its time. */
  mayVerify(address: string): boolean {
    if (!this.isUsedUp(address)) return true;
    const now = this.#clock.now();
    if (now < this.#nextTokenAt) return false;
    this.#nextTokenAt = now + TOKEN_MS;
    return true;
  }

  #forgetOne(): void {
    const [first] = this.#fullAt.keys();
    if (first !== undefined) this.#fullAt.delete(first);
  }
}

/**
 * What is counted of an address: of IPv6 the first 64 bits, as one customer has at least so many addresses below them (RFC 6177); all of IPv4, also
 * where it is written as IPv6 (RFC 4291, section 2.5.5.2).
 */
function networkOf(address: string): string {
  if (!address.includes(":") || address.includes(".")) return address;
  const gap = address.indexOf("::");
  const before = (gap < 0 ? address : address.slice(0, gap)).split(":");
  if (gap < 0 || before.length >= NETWORK_GROUPS) return before.slice(0, NETWORK_GROUPS).join(":");
  const after = address.slice(gap + 2).split(":");
  const groups = [...before, ...Array.from({ length: GROUPS - before.length - after.length }, () => "0"), ...after];
  return groups.slice(0, NETWORK_GROUPS).join(":");
}

/** Groups of 16 bits of an IPv6 address, and those of its network. */
const GROUPS = 8;
const NETWORK_GROUPS = 4;
