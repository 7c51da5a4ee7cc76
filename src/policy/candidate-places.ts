import type { Candidate } from "./policy.ts";

/** Finds candidates by the slot of their worker. A list of candidates is used again until the set of workers changes, so its map is kept. */
export class CandidatePlaces {
  readonly #known = new WeakMap<readonly Candidate[], Int32Array>();

  /** By slot: the index of the candidate; -1, or nothing, for none. */
  of(candidates: readonly Candidate[]): Int32Array {
    const known = this.#known.get(candidates);
    if (known) return known;
    let slots = 0;
    for (const { slot } of candidates) slots = Math.max(slots, slot + 1);
    const places = new Int32Array(slots).fill(-1);
    for (const [place, { slot }] of candidates.entries()) places[slot] = place;
    this.#known.set(candidates, places);
    return places;
  }
}
