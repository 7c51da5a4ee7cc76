import type { PickReason } from "../pick-reasons.ts";
import { CHOSEN, TURN, workerAt } from "./shared-layout.ts";
import { EQUAL_S, isChosenBefore, isIdle } from "./candidate-order.ts";
import { FurtherCopies } from "./further-copies.ts";
import { COST, FULL_TOKENS, UNHEARD, type Weighed } from "./weighed.ts";

/**
 * Costs of workers that do nothing are equal where they differ by less than this, s, or by this share. They differ by what was learned of
 * the workers' speed only, and that is not known better: one that was never asked would never be. What other gateways may have sent there
 * is no matter of speed, and makes them differ.
 */
const EQUAL_IDLE_S = 0.002;
const EQUAL_IDLE_SHARE = 0.1;

/**
 * Chooses the candidate with the lowest cost. Of equals it takes the one that has most of the prompt, so that a prefix stays where it is,
 * and of those the one that was chosen least recently, by any thread.
 */
export class Chooser {
  readonly #cells: Float64Array;
  readonly #copies: FurtherCopies;
  /** Why the last choice was made. */
  reason: PickReason = "lowest_cost";

  constructor(cells: Float64Array) {
    this.#cells = cells;
    this.#copies = new FurtherCopies(cells);
  }

  /** The place to which a request is sent: that of the chosen one, or of one that is to get a further copy of a prefix. */
  send(weighed: Weighed): number {
    const chosen = this.choose(weighed);
    const instead = this.#copies.placeInstead(weighed, chosen);
    if (instead < 0) return chosen;
    this.reason = "further_copy";
    return instead;
  }

  /** The place of the chosen one; at least one candidate was weighed. */
  choose(weighed: Weighed): number {
    const cheapest = cheapestOf(weighed);
    const least = weighed.of(cheapest, COST);
    const most = least + EQUAL_S;
    const mostIdle = isIdle(weighed, cheapest) ? least + Math.max(EQUAL_IDLE_S, EQUAL_IDLE_SHARE * least) : most;
    let chosen = -1;
    let deepest = 0;
    this.reason = "lowest_cost";
    for (let at = 0; at < weighed.count; at += 1) {
      const cost = weighed.of(at, COST);
      if (cost > mostIdle || (cost > most && !(isIdle(weighed, at) && isAsUnheard(weighed, at, cheapest)))) continue;
      const depth = weighed.of(at, FULL_TOKENS);
      if (chosen >= 0) {
        if (depth !== deepest) this.reason = "deeper_match";
        else if (this.reason === "lowest_cost") this.reason = "least_recent";
      }
      if (chosen >= 0 && (depth < deepest || (depth === deepest && !isChosenBefore(this.#cells, weighed, at, chosen))))
        continue;
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
}

function cheapestOf(weighed: Weighed): number {
  let cheapest = 0;
  for (let at = 1; at < weighed.count; at += 1) {
    if (weighed.of(at, COST) < weighed.of(cheapest, COST)) cheapest = at;
  }
  return cheapest;
}

/** No more is expected there of other gateways than at the cheapest one. */
function isAsUnheard(weighed: Weighed, at: number, cheapest: number): boolean {
  return weighed.of(at, UNHEARD) <= (1 + EQUAL_IDLE_SHARE) * weighed.of(cheapest, UNHEARD) + EQUAL_S;
}
