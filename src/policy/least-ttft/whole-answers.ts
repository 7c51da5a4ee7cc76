import { USUAL_TOKEN_S } from "./service-rates.ts";
import { CHANGES, SLOWNESS, TOKEN_S, workerAt } from "./shared-layout.ts";

const WEIGHT = 0.05;
/** Bounds of how much slower or faster than usual one answer may count. */
const LEAST = 0.1;
const MOST = 10;

/**
 * Learns from answers that come whole how slow each worker is beside the others: the time of an answer over what it should take with the
 * usual prefill, and with the fleet's own time for each token of an answer. To fit a worker's rates to whole answers does not work:
 * their time hardly depends on the prefill.
 */
export class WholeAnswers {
  readonly #cells: Float64Array;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** An answer of `tokens` tokens, to a prompt with this much work, took `tookS` in all. */
  observe(slot: number, work: number, tokens: number, tookS: number): void {
    if (!(tokens > 0)) return;
    const cells = this.#cells;
    const prefillS = work * USUAL_TOKEN_S;
    const perToken = Math.max(0, tookS - prefillS) / tokens;
    const known = cells[TOKEN_S] || perToken;
    const tokenS = known + WEIGHT * (perToken - known);
    cells[TOKEN_S] = tokenS;
    const expectedS = prefillS + tokenS * tokens;
    if (!(expectedS > 0)) return;
    const ratio = Math.min(Math.max(tookS / expectedS, LEAST), MOST);
    const at = workerAt(slot);
    const slowness = cells[at + SLOWNESS] || 1;
    cells[at + SLOWNESS] = slowness + WEIGHT * (ratio - slowness);
    cells[at + CHANGES] = (cells[at + CHANGES] ?? 0) + 1;
  }
}
