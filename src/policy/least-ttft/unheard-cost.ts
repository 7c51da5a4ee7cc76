import type { Candidate } from "../policy.ts";
import { waitingCost } from "./cost.ts";
import type { ServiceRates } from "./service-rates.ts";
import { SLOTS } from "../../util/slots.ts";
import { MOST_GATEWAYS, type UnheardWork } from "./unheard-work.ts";
import {
  COST,
  DECODE,
  EVICTION,
  HELD_UP,
  KV_WALL,
  MOST_COMPARED,
  OVERHEAD_S,
  PREFILL_S,
  ROW,
  SLOT,
  UNHEARD,
  WAITING,
  type Weighed,
  WORK,
} from "./weighed.ts";

/**
 * A worker may get an unheard request while it is dearer than the cheapest one by less than this many times what all unheard work costs. Others
 * step aside for each other up to about there.
 */
const REACH = 2;
/** Share of a gateway's requests that it may send to workers that others go to first. */
const STRAY = 0.2;

/**
 * What may be under way to a worker from other gateways, and has not been told yet. They choose by the same rule and know about the
 * same, so they like the same workers: those that would be cheapest for a request that has nothing cached. Two gateways that do not
 * hear of each other in time would both send to the cheapest one while another is nearly as cheap. So each worker belongs to one
 * gateway, in turns: of workers that are about as cheap, a gateway goes to its own first, and expects the others at theirs.
 *
 * Where two requests meet at a worker the second one waits for the first. Both cost the same, and either may be the second: this request
 * would wait for the unheard work, or others would wait for its prefill.
 */
export class UnheardCost {
  readonly #unheard: UnheardWork;
  readonly #rates: ServiceRates;
  /** By slot: the worker's rank. Workers belong to gateways in turns by their ranks. */
  #ranks = new Int32Array(0);
  #ranked: readonly Candidate[] = [];
  /** By place of the candidate: how near it is to the cheapest one, 0 to 1. First its cost for a usual request, s. */
  readonly #near = new Float64Array(MOST_COMPARED);
  /** By place of the gateway: the sum over its own workers; then the work and the requests that it has for each of them, for a nearness of 1. */
  readonly #ownNear = new Float64Array(MOST_GATEWAYS);
  readonly #ownWork = new Float64Array(MOST_GATEWAYS);
  readonly #ownRequests = new Float64Array(MOST_GATEWAYS);
  /** Work and requests of all others, for each nearness of 1, at workers that are not their own. */
  #strayWork = 0;
  #strayRequests = 0;

  constructor(unheard: UnheardWork, rates: ServiceRates) {
    this.#unheard = unheard;
    this.#rates = rates;
  }

  /** Shares the workers of the model out among the gateways: in an order that is the same at each of them, and has nothing to do with what the workers are. */
  know(candidates: readonly Candidate[]): void {
    if (candidates === this.#ranked) return;
    this.#ranked = candidates;
    if (this.#ranks.length === 0) this.#ranks = new Int32Array(SLOTS);
    const order = candidates.map(({ id, slot }) => ({ id, slot, hash: Bun.hash.crc32(id) }));
    order.sort((one, other) => one.hash - other.hash || (one.id < other.id ? -1 : 1));
    for (const [rank, { slot }] of order.entries()) this.#ranks[slot] = rank;
  }

  /** Adds to the costs of what was weighed. */
  addTo(weighed: Weighed): void {
    const unheard = this.#unheard;
    unheard.refresh(weighed.now);
    if (unheard.totalWork === 0) return;
    this.#measure(weighed);
    this.#shareOut();
    const { cells, count } = weighed;
    for (let at = 0; at < count; at += 1) {
      const row = at * ROW;
      // A decode worker that does not prefill has no queue to wait in.
      if (cells[row + WORK] === 0) continue;
      const owner = this.#ownerOf(weighed, at);
      const near = this.#near[at] ?? 0;
      const work = near * (this.#strayWork + (this.#ownWork[owner] ?? 0));
      const requests = near * (this.#strayRequests + (this.#ownRequests[owner] ?? 0));
      const tokenS = this.#rates.tokenS(weighed.of(at, SLOT));
      const cost = waitingCost(tokenS * work, 0) + requests * weighed.of(at, PREFILL_S);
      cells[row + UNHEARD] = cost;
      cells[row + COST] = (cells[row + COST] ?? 0) + cost;
    }
  }

  /** How near each candidate is to the one that is cheapest for a request with the usual work and nothing cached. */
  #measure(weighed: Weighed): void {
    const { totalWork, totalRequests } = this.#unheard;
    const near = this.#near;
    const { count } = weighed;
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < count; at += 1) {
      const cost = this.#usualCost(weighed, at, totalWork / totalRequests);
      near[at] = cost;
      if (cost < least) least = cost;
    }
    this.#ownNear.fill(0, 0, this.#unheard.gateways);
    for (let at = 0; at < count; at += 1) {
      const reachS = REACH * this.#rates.tokenS(weighed.of(at, SLOT)) * totalWork;
      const nearness = Math.max(0, 1 - ((near[at] ?? 0) - least) / reachS);
      near[at] = nearness;
      const owner = this.#ownerOf(weighed, at);
      this.#ownNear[owner] = (this.#ownNear[owner] ?? 0) + nearness;
    }
  }

  #usualCost(weighed: Weighed, at: number, work: number): number {
    const prefillS = weighed.of(at, PREFILL_S);
    const beside = prefillS > 0 ? (weighed.of(at, HELD_UP) + weighed.of(at, EVICTION)) / prefillS : 0;
    return (
      weighed.of(at, WAITING) +
      weighed.of(at, OVERHEAD_S) +
      weighed.of(at, DECODE) +
      weighed.of(at, KV_WALL) +
      this.#rates.tokenS(weighed.of(at, SLOT)) * work * (1 + beside)
    );
  }

  /** Shares the unheard work of each gateway out over its own near workers and, a little of it, over all. */
  #shareOut(): void {
    const unheard = this.#unheard;
    const { gateways } = unheard;
    let all = 0;
    for (let place = 0; place < gateways; place += 1) all += this.#ownNear[place] ?? 0;
    this.#strayWork = this.#strayRequests = 0;
    for (let place = 0; place < gateways; place += 1) {
      const parts = STRAY * all + (1 - STRAY) * (this.#ownNear[place] ?? 0);
      const work = unheard.workOf(place) / parts;
      const requests = unheard.requestsOf(place) / parts;
      this.#strayWork += STRAY * work;
      this.#strayRequests += STRAY * requests;
      this.#ownWork[place] = (1 - STRAY) * work;
      this.#ownRequests[place] = (1 - STRAY) * requests;
    }
  }

  /** The gateway to which the candidate's worker belongs. */
  #ownerOf(weighed: Weighed, at: number): number {
    return (this.#ranks[weighed.of(at, SLOT)] ?? 0) % this.#unheard.gateways;
  }
}
