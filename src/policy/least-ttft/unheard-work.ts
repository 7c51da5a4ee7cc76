/** How fast the rates of another gateway's requests follow them, s, and the weight of its latest news in how late its news comes. */
const RATE_S = 20;
const LATE_WEIGHT = 0.05;
/** News that says to be later than this comes from a gateway whose clock is wrong, s. */
const MOST_LATE_S = 5;
/** A gateway that has told nothing for so long is gone, s. */
const GONE_S = 10 * RATE_S;
/** Most gateways that are known, this one among them; those that told nothing for longest go first. */
export const MOST_GATEWAYS = 256;

/** What another gateway sends, as of its latest news. */
interface Sender {
  readonly name: string;
  /** Time of that news, s. */
  at: number;
  /** Work that it sends, tokens a second, and requests a second. */
  workRate: number;
  requestRate: number;
  /** How late its news comes, s. */
  lateS: number;
}

/** Work that other gateways have sent and of which the news is still on its way: what each of them sends in the time that its news takes. */
export class UnheardWork {
  readonly #own: string;
  /** The other gateways, by name. */
  #others: Sender[] = [];
  /** By place: what is expected of each gateway, as of the last `refresh`. */
  readonly #work = new Float64Array(MOST_GATEWAYS);
  readonly #requests = new Float64Array(MOST_GATEWAYS);
  #ownPlace = 0;
  #totalWork = 0;
  #totalRequests = 0;

  /** `gateway` is the name of this gateway. */
  constructor(gateway: string) {
    this.#own = gateway;
  }

  /** Gateways, this one among them. Each has a place from 0 on, in the order of their names, so all give each the same place. */
  get gateways(): number {
    return this.#others.length + 1;
  }

  get ownPlace(): number {
    return this.#ownPlace;
  }

  /** Work of all others that is expected not to have been heard of, tokens. */
  get totalWork(): number {
    return this.#totalWork;
  }

  /** Number of their requests. */
  get totalRequests(): number {
    return this.#totalRequests;
  }

  /** The part of the gateway at this place; 0 for this gateway. */
  workOf(place: number): number {
    return this.#work[place] ?? 0;
  }

  requestsOf(place: number): number {
    return this.#requests[place] ?? 0;
  }

  /** News has come at `now` of a request that a gateway sent at `sentAt`, both in s, with so much work in tokens. */
  heard(gateway: string, now: number, sentAt: number, work: number): void {
    const sender = this.#others.find(({ name }) => name === gateway) ?? this.#add(gateway, now);
    const kept = keptShare(sender, now);
    sender.workRate = sender.workRate * kept + work / RATE_S;
    sender.requestRate = sender.requestRate * kept + 1 / RATE_S;
    sender.lateS += LATE_WEIGHT * (Math.min(MOST_LATE_S, Math.max(0, now - sentAt)) - sender.lateS);
    sender.at = now;
  }

  /** Works out what is expected at `now`, s. */
  refresh(now: number): void {
    this.#dropGone(now);
    this.#totalWork = this.#totalRequests = 0;
    let place = 0;
    for (const sender of this.#others) {
      if (place === this.#ownPlace) place += 1;
      const seconds = sender.lateS * keptShare(sender, now);
      this.#totalWork += this.#work[place] = seconds * sender.workRate;
      this.#totalRequests += this.#requests[place] = seconds * sender.requestRate;
      place += 1;
    }
  }

  #dropGone(now: number): void {
    for (const { at } of this.#others) {
      if (now - at <= GONE_S) continue;
      this.#keep(this.#others.filter((sender) => now - sender.at <= GONE_S));
      return;
    }
  }

  #add(name: string, now: number): Sender {
    const sender = { name, at: now, workRate: 0, requestRate: 0, lateS: 0 };
    const latest = this.#others.toSorted((one, other) => other.at - one.at).slice(0, MOST_GATEWAYS - 2);
    this.#keep([...latest, sender]);
    return sender;
  }

  #keep(others: readonly Sender[]): void {
    this.#others = others.toSorted((one, other) => (one.name < other.name ? -1 : 1));
    this.#ownPlace = this.#others.filter(({ name }) => name < this.#own).length;
    this.#work.fill(0);
    this.#requests.fill(0);
  }
}

/** What is left of a gateway's rates when it has told nothing since its latest news. */
function keptShare({ at }: Sender, now: number): number {
  return Math.exp(-Math.max(0, now - at) / RATE_S);
}
