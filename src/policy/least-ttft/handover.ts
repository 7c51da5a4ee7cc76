import { addSample, LineFit } from "./decayed-sums.ts";
import { HANDOVER } from "./shared-layout.ts";

/** What is taken for granted: a fixed time, s, and a time for each token, s. */
const USUAL_FIXED_S = 0.003;
const USUAL_TOKEN_S = 1e-5;
const MOST_FIXED_S = 0.1;
/** A prompt for the second point of the line that is taken for granted, tokens. */
const LONG_PROMPT = 20_000;
/** Share of the sums that a sample leaves of the samples before it. */
const KEEP = 0.98;
/** A sample counts at most as so many times what was expected and a little more, s: decode workers have queues as well. */
const MOST_TIMES = 3;
const MOST_MORE_S = 0.02;

const PRIOR = new Float64Array(6);
addSample(PRIOR, 0, { x: 0, y: USUAL_FIXED_S, weight: 1, now: 0 }, 1);
addSample(PRIOR, 0, { x: LONG_PROMPT, y: USUAL_FIXED_S + LONG_PROMPT * USUAL_TOKEN_S, weight: 1, now: 0 }, 1);

/** The hand-over of one request's KV cache, which begins when the prefill worker is done. */
export class PendingHandover {
  /** Prompt tokens that the decode worker does not have. */
  readonly tokens: number;
  /** How long after the choice the prefill worker was done, ms; 0 until then. */
  beganAfterMs = 0;

  constructor(tokens: number) {
    this.tokens = tokens;
  }
}

/**
 * What it takes to hand a KV cache over: a fixed time and a time for each token, learned from the time between the end of a prefill and
 * the decode worker's first token. That is seen where the client asked for a stream and the decode worker comes after prefill.
 */
export class Handover {
  readonly #cells: Float64Array;
  readonly #fit = new LineFit();

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** Expected time for so many tokens, s. */
  costS(tokens: number): number {
    const fit = this.#fit.clear().add(this.#cells, HANDOVER, 1).add(PRIOR, 0, 1);
    fit.fit(USUAL_FIXED_S, 0, MOST_FIXED_S);
    return fit.intercept + fit.slope * tokens;
  }

  /** The decode worker's first token came so long after the choice. */
  firstToken({ tokens, beganAfterMs }: PendingHandover, afterMs: number, now: number): void {
    // Where both workers are asked at once, decode may be the first to answer.
    if (beganAfterMs === 0) return;
    const tookS = Math.max(0, afterMs - beganAfterMs) / 1000;
    const y = Math.min(tookS, MOST_TIMES * this.costS(tokens) + MOST_MORE_S);
    addSample(this.#cells, HANDOVER, { x: tokens, y, weight: 1, now }, KEEP);
  }
}
