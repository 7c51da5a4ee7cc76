/** How fast the rate of the others' requests follows them, s, and the weight of the latest news in how late news comes. */
const RATE_S = 20;
const LATE_WEIGHT = 0.05;
/** Largest share that is reckoned with at a worker: 1 on average. With half of it, or with more, gateways meet more often (heavy tails, 4 gateways). */
const MOST_SHARE = 2;
/** News that says to be later than this comes from a gateway whose clock is wrong, s. */
const MOST_LATE_S = 5;

/**
 * Work that other gateways have sent and of which the news is still on its way. It is there, and it is not known where: gateways that
 * know the same like the same workers, so two of them would send to one idle worker while another one is idle as well. Each gateway
 * therefore reckons with a share of that work at each worker. The shares differ from gateway to gateway and stay the same, so that each
 * has workers of its own for requests whose costs are otherwise near each other.
 */
export class UnheardWork {
  readonly #seed: number;
  /** Work that others send, tokens a second, as of `#at`; and how late the news of it comes, s. */
  #rate = 0;
  #at = 0;
  #lateS = 0;

  /** `gateway` is the name of this gateway. */
  constructor(gateway: string) {
    this.#seed = Bun.hash.crc32(gateway);
  }

  /** News has come at `now` of a request that was sent at `sentAt`, both in s, with so much work in tokens. */
  heard(now: number, sentAt: number, work: number): void {
    const lateS = Math.min(MOST_LATE_S, Math.max(0, now - sentAt));
    this.#lateS += LATE_WEIGHT * (lateS - this.#lateS);
    this.#rate = this.#rateAt(now) + work / RATE_S;
    this.#at = now;
  }

  /** What others are expected to have sent that has not been heard of at `now`, tokens of work. */
  expected(now: number): number {
    return this.#lateS * this.#rateAt(now);
  }

  /** The share of it that this gateway reckons with at the worker of a slot, 0 to 2. */
  shareOf(slot: number): number {
    let hash = Math.imul(this.#seed + 1, 0x9e3779b1) ^ Math.imul(slot + 1, 0x85ebca77);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (MOST_SHARE * ((hash ^ (hash >>> 16)) >>> 0)) / 2 ** 32;
  }

  #rateAt(now: number): number {
    return this.#rate * Math.exp(-Math.max(0, now - this.#at) / RATE_S);
  }
}
