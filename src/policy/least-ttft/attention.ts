import { addSample, meanX, meanY, slopeOf, weightOf } from "./decayed-sums.ts";
import { ATTENTION } from "./shared-layout.ts";

/** Prompts with fewer new tokens say little about attention. */
const LEAST_UNCACHED = 512;
/** Weight of a sample: its new tokens in thousands, up to this many tokens. */
const MOST_UNCACHED = 8192;
const THOUSAND = 1000;
const KEEP = 0.998;
/** Weight of all samples from which on the cost is used. */
const ENOUGH = 20;
/** Added to the variance of the lengths, tokens², so that a chance slope among prompts of about one length stays small. */
const RIDGE = 3000 ** 2;
const MOST = 2e-4;

/**
 * What a token costs more, as a share, for each token that it attends to. It depends on the model, so it is learned for the whole fleet:
 * a line through the time for each new token over the number of tokens that it attends to, twice over. 0 until enough long prompts
 * have been seen.
 */
export class Attention {
  readonly #cells: Float64Array;
  #leader: Attention | undefined;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** For each token that is attended to, as a share of a token's own time. */
  get perToken(): number {
    const cells = this.#cells;
    if (weightOf(cells, ATTENTION) < ENOUGH) return this.#leader?.perToken ?? 0;
    const slope = slopeOf(cells, ATTENTION, RIDGE);
    const alone = meanY(cells, ATTENTION) - slope * meanX(cells, ATTENTION);
    return alone > 0 ? Math.min(Math.max(slope / alone, 0), MOST) : 0;
  }

  /** Takes what the prefill workers of the same model have taught, until enough has been seen here. */
  follow(leader: Attention): void {
    this.#leader = leader;
  }

  /** A request that found nothing pending took `serviceS` besides the worker's overhead. */
  observe(cached: number, uncached: number, serviceS: number, now: number): void {
    if (uncached <= LEAST_UNCACHED || !(serviceS > 0)) return;
    const weight = Math.min(uncached, MOST_UNCACHED) / THOUSAND;
    const sample = { x: 2 * cached + uncached, y: serviceS / uncached, weight, now };
    addSample(this.#cells, ATTENTION, sample, KEEP);
  }
}
