import type { PickReason } from "../pick-reasons.ts";
import { CHOSEN, TURN, workerAt } from "./shared-layout.ts";
import { COST, FULL_TOKENS, SLOT, type Weighed } from "./weighed.ts";

/** Costs that differ by less are equal, s. */
const EQUAL_S = 1e-4;

/**
 * Chooses the candidate with the lowest cost. Of equals it takes the one that has most of the prompt, so that a prefix stays where it is,
 * and of those the one that was chosen least recently, by any thread.
 */
export class Chooser {
  readonly #cells: Float64Array;
  /** Why the last choice was made. */
  reason: PickReason = "lowest_cost";

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** The place of the chosen one; at least one candidate was weighed. */
  choose(weighed: Weighed): number {
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < weighed.count; at += 1) least = Math.min(least, weighed.of(at, COST));
    let chosen = -1;
    let deepest = 0;
    this.reason = "lowest_cost";
    for (let at = 0; at < weighed.count; at += 1) {
      if (weighed.of(at, COST) > least + EQUAL_S) continue;
      const depth = weighed.of(at, FULL_TOKENS);
      if (chosen >= 0) {
        if (depth !== deepest) this.reason = "deeper_match";
        else if (this.reason === "lowest_cost") this.reason = "least_recent";
      }
      if (chosen >= 0 && (depth < deepest || (depth === deepest && !this.#isBefore(weighed, at, chosen)))) continue;
      chosen = at;
      deepest = depth;
    }
    return Math.max(0, chosen);
  }

  /** The worker of this slot was chosen. */
  note(slot: number): void {
    const turn = (this.#cells[TURN] ?? 0) + 1;
    this.#cells[TURN] = turn;
    this.#cells[workerAt(slot) + CHOSEN] = turn;
  }

  #isBefore(weighed: Weighed, one: number, other: number): boolean {
    return this.#turnOf(weighed.of(one, SLOT)) < this.#turnOf(weighed.of(other, SLOT));
  }

  #turnOf(slot: number): number {
    return this.#cells[workerAt(slot) + CHOSEN] ?? 0;
  }
}
