import type { PdSide } from "./pd-options.ts";

/** Keys of transfers kept, so that a long load test does not grow without end. */
const KEPT_KEYS = 65_536;

/**
 * What the engines of a fleet know in common, so that they can tell a client's mistake from a fault of an engine: one
 * count for all requests, the addresses where KV can be had, and which engine was told of which transfer.
 */
export class PdJournal {
  #sequence = 0;
  readonly #addresses = new Set<string>();
  readonly #announced = new Map<string, Set<string>>();

  /** The next number of the count. */
  next(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  addAddress(address: string): void {
    this.#addresses.add(address);
  }

  isAddress(address: string): boolean {
    return this.#addresses.has(address);
  }

  /** A request came to the engine whose KV address this is, whatever it then does with it. */
  announce(side: PdSide, key: string, address: string): void {
    const place = `${side} ${key}`;
    const addresses = this.#announced.get(place) ?? new Set();
    this.#announced.set(place, addresses.add(address));
    for (const oldest of this.#announced.keys()) {
      if (this.#announced.size <= KEPT_KEYS) break;
      this.#announced.delete(oldest);
    }
  }

  /** KV addresses of the engines of that side that were told of this transfer. */
  announced(side: PdSide, key: string): ReadonlySet<string> {
    return this.#announced.get(`${side} ${key}`) ?? new Set();
  }
}
