import type { PolicyNews } from "../policy.ts";
import type { PrefixIndex } from "../prefix-index.ts";
import { type Linked, LinkedQueues } from "./linked-queues.ts";
import { SLOTS } from "../../util/slots.ts";
import { FIRST_BYTE_AT, workerAt } from "./shared-layout.ts";
import { UnheardWork } from "./unheard-work.ts";
import type { ForeignLoad } from "./weigher.ts";

/** Longest time for which a request of another gateway counts, s: the gateway may be gone without having said that it ended. */
const MOST_S = 600;
/** Most requests that are kept; the oldest go first. */
const MOST_KEPT = 65_536;

/** A request of another gateway. The parts of its news may come in any order. */
interface ForeignRequest extends Linked<ForeignRequest> {
  readonly slot: number;
  /** Time of the first news of it that came, s. */
  readonly since: number;
  sentAt: number;
  work: number;
  contextTokens: number;
  isSent: boolean;
  hasFirstToken: boolean;
  /** Its prompt is in the worker's cache for certain. */
  isSettled: boolean;
  isEnded: boolean;
}

const NOTHING = new Float64Array(0);

/**
 * The load that other gateways put on the workers, by their news. News is late, so it is taken as of its own time: a request counts from
 * when it was sent, and a first token or an end that comes before the news of the request is kept until that comes. Only load and
 * prefixes are taken from it. Rates are learned from this gateway's own requests, because clocks and delays differ.
 *
 * It belongs to one thread: news reaches each thread's instance by itself.
 */
export class NewsLoad implements ForeignLoad {
  /** What they have sent and not told yet. */
  readonly unheard: UnheardWork;
  readonly #cells: Float64Array;
  readonly #index: PrefixIndex;
  readonly #requests = new Map<string, ForeignRequest>();
  readonly #queues = new LinkedQueues<ForeignRequest>();
  /** By slot; made with the first news, which most gateways never get. */
  #work = NOTHING;
  #inFlight = NOTHING;
  #decoding = NOTHING;
  #context = NOTHING;

  /** `gateway` is the name of this gateway. */
  constructor(cells: Float64Array, index: PrefixIndex, gateway: string) {
    this.unheard = new UnheardWork(gateway);
    this.#cells = cells;
    this.#index = index;
  }

  get isSilent(): boolean {
    return this.#work === NOTHING;
  }

  pendingWork(slot: number): number {
    return this.#work[slot] ?? 0;
  }

  inFlight(slot: number): number {
    return this.#inFlight[slot] ?? 0;
  }

  decoding(slot: number): number {
    return this.#decoding[slot] ?? 0;
  }

  contextTokens(slot: number): number {
    return this.#context[slot] ?? 0;
  }

  oldestAt(slot: number): number {
    return this.#queues.head(slot)?.sentAt ?? 0;
  }

  oldestWork(slot: number): number {
    return this.#queues.head(slot)?.work ?? 0;
  }

  /** Takes news of a request at the worker of this slot. It came at `now`, s. */
  hear(news: PolicyNews, slot: number, now: number): void {
    const at = news.at / 1000;
    if (this.#work === NOTHING) this.#makeRoom();
    this.#dropOld(at);
    const key = `${news.gateway} ${news.request}`;
    const request = this.#requests.get(key) ?? this.#add(key, slot, at);
    if (request.slot !== slot) return;
    if (news.kind === "sent") this.#sent(request, news, at, now);
    else if (news.kind === "first_token") this.#firstToken(request, news, at);
    else this.#ended(request, news);
    if (request.isSent && request.isEnded) this.#requests.delete(key);
  }

  /**
   * A request of this gateway that was sent at this time has its first token, so those of others that were sent before it have theirs, though
   * the news of that is still on its way. Returns their work.
   */
  servedBefore(slot: number, sentAt: number): number {
    let work = 0;
    for (
      let request = this.#queues.head(slot);
      request && request.sentAt <= sentAt;
      request = this.#queues.head(slot)
    ) {
      work += request.work;
      this.#beginDecoding(request);
    }
    return work;
  }

  /** Forgets all load of a worker that left or was restarted. */
  forget(slot: number): void {
    for (const [key, request] of this.#requests) {
      if (request.slot !== slot) continue;
      this.#uncount(request);
      this.#requests.delete(key);
    }
  }

  #makeRoom(): void {
    this.#work = new Float64Array(SLOTS);
    this.#inFlight = new Float64Array(SLOTS);
    this.#decoding = new Float64Array(SLOTS);
    this.#context = new Float64Array(SLOTS);
  }

  #add(key: string, slot: number, since: number): ForeignRequest {
    const request: ForeignRequest = {
      slot,
      since,
      sentAt: since,
      work: 0,
      contextTokens: 0,
      isSent: false,
      hasFirstToken: false,
      isSettled: false,
      isEnded: false,
      before: undefined,
      after: undefined,
    };
    this.#requests.set(key, request);
    return request;
  }

  #sent(request: ForeignRequest, news: PolicyNews, at: number, now: number): void {
    if (request.isSent) return;
    this.unheard.heard(news.gateway, now, at, news.workTokens);
    request.isSent = true;
    request.sentAt = at;
    request.work = news.workTokens;
    request.contextTokens = news.contextTokens;
    const { slot, hasFirstToken, isEnded } = request;
    // A request that ended without a first token has left nothing in the cache.
    if (!isEnded || hasFirstToken) {
      this.#index.match(news);
      this.#index.insert(slot);
    }
    if (hasFirstToken) this.#settle(request, news);
    if (!isEnded) this.#count(request);
  }

  #firstToken(request: ForeignRequest, news: PolicyNews, at: number): void {
    const { slot, isSent } = request;
    const cell = workerAt(slot) + FIRST_BYTE_AT;
    this.#cells[cell] = Math.max(this.#cells[cell] ?? 0, at);
    if (!request.hasFirstToken) this.#beginDecoding(request);
    if (isSent && !request.isSettled) this.#settle(request, news);
  }

  #beginDecoding(request: ForeignRequest): void {
    const isCounted = request.isSent && !request.isEnded;
    if (isCounted) this.#uncount(request);
    request.hasFirstToken = true;
    if (isCounted) this.#count(request);
  }

  #settle(request: ForeignRequest, news: PolicyNews): void {
    request.isSettled = true;
    this.#index.settle(news, request.slot);
  }

  #ended(request: ForeignRequest, news: PolicyNews): void {
    if (request.isEnded) return;
    if (request.isSent) {
      this.#uncount(request);
      if (!request.hasFirstToken) this.#index.withdraw(news, request.slot);
    }
    request.isEnded = true;
  }

  #count(request: ForeignRequest): void {
    this.#change(request, 1);
    if (!request.hasFirstToken) this.#queues.push(request.slot, request);
  }

  /** Takes a request that is sent and not over off the counts. */
  #uncount(request: ForeignRequest): void {
    if (!request.isSent || request.isEnded) return;
    this.#change(request, -1);
    this.#queues.remove(request.slot, request);
  }

  #change({ slot, work, contextTokens, hasFirstToken }: ForeignRequest, by: 1 | -1): void {
    this.#inFlight[slot] = (this.#inFlight[slot] ?? 0) + by;
    this.#context[slot] = (this.#context[slot] ?? 0) + by * contextTokens;
    if (hasFirstToken) this.#decoding[slot] = (this.#decoding[slot] ?? 0) + by;
    else this.#work[slot] = (this.#work[slot] ?? 0) + by * work;
  }

  /** Drops requests that must be over, and the oldest where there are too many. */
  #dropOld(now: number): void {
    for (const [key, request] of this.#requests) {
      if (this.#requests.size < MOST_KEPT && now - request.since < MOST_S) return;
      this.#uncount(request);
      this.#requests.delete(key);
    }
  }
}
