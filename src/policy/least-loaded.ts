import type { Candidate, Random } from "./policy.ts";

/** With more workers than this, a sample of them is compared. */
const LOOK_AT_ALL = 256;
const SAMPLE = 64;

/** The costs of candidates for policies that compare loads. */
export function inFlightOf(candidates: readonly Candidate[]): number[] {
  return candidates.map(({ inFlight }) => inFlight);
}

function inFlight(candidate: Candidate): number {
  return candidate.inFlight;
}

/**
 * Finds the worker with the least load: the fewest requests in flight, or another measure, which is 0 for an idle worker. Equals take
 * turns, so that an idle fleet is used evenly. In a very large fleet it compares 64 random workers: with 96 % certainty the least loaded
 * of them is among the least loaded 5 % of the fleet, and comparing 10,000 costs more than it gains.
 */
export class LeastLoaded {
  readonly #random: Random;
  readonly #loadOf: (candidate: Candidate) => number;
  #turn = 0;

  constructor(random: Random, loadOf: (candidate: Candidate) => number = inFlight) {
    this.#random = random;
    this.#loadOf = loadOf;
  }

  /** Index of the least loaded; `candidates` is not empty. */
  find(candidates: readonly Candidate[]): number {
    const count = candidates.length;
    const isSampled = count > LOOK_AT_ALL;
    const looks = isSampled ? SAMPLE : count;
    this.#turn = (this.#turn + 1) % count;
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let look = 0; look < looks; look += 1) {
      const index = isSampled ? Math.floor(this.#random() * count) : (this.#turn + look) % count;
      const candidate = candidates[index];
      const load = candidate ? this.#loadOf(candidate) : Number.POSITIVE_INFINITY;
      if (load < least) {
        least = load;
        best = index;
        if (load === 0) break;
      }
    }
    return best;
  }

  /** Mean load of the candidates, or of 64 random ones in a very large fleet. */
  mean(candidates: readonly Candidate[]): number {
    const count = candidates.length;
    const isSampled = count > LOOK_AT_ALL;
    const looks = isSampled ? SAMPLE : count;
    let sum = 0;
    for (let look = 0; look < looks; look += 1) {
      const candidate = candidates[isSampled ? Math.floor(this.#random() * count) : look];
      if (candidate) sum += this.#loadOf(candidate);
    }
    return sum / looks;
  }
}
