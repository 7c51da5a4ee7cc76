/** Tokens of prompts that an engine prefills a second, until more is known. */
const FIRST_GUESS = 8000;
/** Tokens' worth of samples with which the fleet's mean counts for a worker. */
const PRIOR_TOKENS = 3000;
/** What a sample still counts after the next one. */
const KEPT = 0.98;

/**
 * How fast each worker works off the prompts that wait there, tokens a second, learned from first tokens: a request waits for the tokens
 * that were pending when it was sent and for its own. What a worker has in its cache counts as prefilled, so the rate has the hits in
 * it. Each thread learns by its own requests; they all measure the same workers, and the pending tokens are those of all threads.
 */
export class DrainRates {
  /** Decayed sums by slot: tokens, and the seconds that they took. */
  readonly #tokens: number[] = [];
  readonly #secs: number[] = [];
  #allTokens = FIRST_GUESS;
  #allSecs = 1;

  /** A first token came `ms` after the send; `tokens` were pending then, those of the request with them. */
  learn(slot: number, tokens: number, ms: number): void {
    if (tokens <= 0 || ms <= 0) return;
    const secs = ms / 1000;
    this.#tokens[slot] = (this.#tokens[slot] ?? 0) * KEPT + tokens;
    this.#secs[slot] = (this.#secs[slot] ?? 0) * KEPT + secs;
    this.#allTokens = this.#allTokens * KEPT + tokens;
    this.#allSecs = this.#allSecs * KEPT + secs;
  }

  /** Seconds until a worker has prefilled so many tokens. A worker that little is known of counts as the mean of all. */
  secsFor(slot: number, tokens: number): number {
    const secsPerToken = this.#allSecs / this.#allTokens;
    const known = this.#tokens[slot] ?? 0;
    return (tokens * ((this.#secs[slot] ?? 0) + PRIOR_TOKENS * secsPerToken)) / (known + PRIOR_TOKENS);
  }

  /** Forgets a worker that has left or was restarted. */
  forget(slot: number): void {
    this.#tokens[slot] = 0;
    this.#secs[slot] = 0;
  }
}
