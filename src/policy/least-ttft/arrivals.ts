import { CAME, CAME_AT, CAME_SINCE, LOST_S, NEEDED_S, workerAt } from "./shared-layout.ts";
import { COST, OVERHEAD_S, PREFILL_S, SLOT, type Weighed } from "./weighed.ts";

/** Time in which what came to a worker counts e times less, s: long enough to tell a rate of one request in some seconds, short enough to follow what is popular now. */
const MEMORY_S = 20;
/** A policy that has just begun has counted for this long at least, s: else its first request would be a rate of many a second. */
const LEAST_COUNTED_S = 2;

/**
 * The requests that will come to each worker, and what a prefill costs them.
 *
 * Requests come to a worker at the rate at which they came of late, but no faster than it could prefill such requests. One that comes
 * while an earlier one waits or is prefilled there has two ways: it waits, or it goes to the next best worker, which costs it what it has
 * cost others of late. So a long prompt that no worker knows goes where few come, or where those who come have as good a worker
 * elsewhere: not to the one that holds what all others ask for.
 *
 * Two threads that count at the same moment may lose one of both requests, which is harmless.
 */
export class Arrivals {
  readonly #cells: Float64Array;
  #now = 0;
  /** Requests a second for each one that is counted. */
  #rate = 0;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** Begins with a choice. */
  begin(now: number): void {
    const since = this.#cells[CAME_SINCE] ?? 0;
    this.#now = now;
    const countedS = Math.max(0, now - since) + LEAST_COUNTED_S;
    this.#rate = since === 0 ? 0 : 1 / (MEMORY_S * (1 - Math.exp(-countedS / MEMORY_S)));
  }

  /**
   * What a prefill of `prefillS`, which begins after `waitingS`, costs those that will come to the worker, s. One that comes while it waits
   * loses all of the prefill, one that comes meanwhile what is left of it, and nobody more than the next best worker costs.
   */
  costS(slot: number, waitingS: number, prefillS: number): number {
    const cells = this.#cells;
    const at = workerAt(slot);
    const came = cells[at + CAME] ?? 0;
    if (came === 0) return 0;
    const mostS = Math.min(prefillS, (cells[at + LOST_S] ?? 0) / came);
    const each = mostS * (waitingS + prefillS - mostS / 2);
    const mostPerS = came / (cells[at + NEEDED_S] ?? 0);
    return each * Math.min(came * this.#rate * this.#keep(at), mostPerS);
  }

  /** The candidate at a place of those weighed gets the request. The next best one would have cost it as much more as its cost is higher. */
  note(weighed: Weighed, at: number): void {
    if (weighed.count < 2) return;
    const neededS = weighed.of(at, OVERHEAD_S) + weighed.of(at, PREFILL_S);
    this.#add(workerAt(weighed.of(at, SLOT)), lossElsewhereS(weighed, at), neededS, weighed.now);
  }

  /** Another gateway has sent a request to a worker. It is taken for one like this gateway's own. */
  heard(slot: number, now: number): void {
    const at = workerAt(slot);
    const came = this.#cells[at + CAME] ?? 0;
    if (came === 0) return;
    this.#add(at, (this.#cells[at + LOST_S] ?? 0) / came, (this.#cells[at + NEEDED_S] ?? 0) / came, now);
  }

  #add(at: number, lostS: number, neededS: number, now: number): void {
    const cells = this.#cells;
    this.#now = now;
    if (cells[CAME_SINCE] === 0) cells[CAME_SINCE] = now;
    const keep = this.#keep(at);
    cells[at + CAME] = (cells[at + CAME] ?? 0) * keep + 1;
    cells[at + LOST_S] = (cells[at + LOST_S] ?? 0) * keep + lostS;
    cells[at + NEEDED_S] = (cells[at + NEEDED_S] ?? 0) * keep + neededS;
    cells[at + CAME_AT] = now;
  }

  /** The share that is left of what was counted: about e to the power of -x. */
  #keep(at: number): number {
    const x = Math.max(0, this.#now - (this.#cells[at + CAME_AT] ?? 0)) / MEMORY_S;
    return 1 / (1 + x + (x * x) / 2);
  }
}

/** How much more the cheapest other candidate costs, s; 0 where it does not. */
function lossElsewhereS(weighed: Weighed, at: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let other = 0; other < weighed.count; other += 1) {
    const cost = weighed.of(other, COST);
    if (cost < least && other !== at) least = cost;
  }
  return Math.max(0, least - weighed.of(at, COST));
}
