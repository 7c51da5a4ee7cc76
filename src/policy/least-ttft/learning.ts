import type { PickEnd } from "../policy.ts";
import { blockBytesAt } from "../prefix-blocks.ts";
import type { PrefixIndex } from "../prefix-index.ts";
import type { Attention } from "./attention.ts";
import type { LeastTtftPick } from "./least-ttft-pick.ts";
import type { NewsLoad } from "./news-load.ts";
import type { ServiceRates } from "./service-rates.ts";
import { FIRST_BYTE_AT, WHOLE_SEEN, workerAt } from "./shared-layout.ts";
import { EXACT_TOKENS_PER_BYTE, type UsageFeedback } from "./usage-feedback.ts";
import type { WholeAnswers } from "./whole-answers.ts";

/** With more tokens in flight before it, the work of a request is not known well enough to learn rates from it. */
const MOST_IN_FLIGHT = 256;
/** Only a request that waits for longer tells what a prefix in flight is worth, s: otherwise it is prefilled before its turn. */
const LEAST_WAIT_S = 0.15;

export interface LearningParts {
  readonly cells: Float64Array;
  readonly rates: ServiceRates;
  readonly attention: Attention;
  readonly feedback: UsageFeedback;
  readonly whole: WholeAnswers;
  readonly index: Pick<PrefixIndex, "grade">;
  readonly news: Pick<NewsLoad, "servedBefore">;
}

/** Learns from this gateway's own requests: rates from first tokens, and what usage tells at the end. */
export class Learning {
  readonly #parts: LearningParts;

  constructor(parts: LearningParts) {
    this.#parts = parts;
  }

  /** The first token of a request came, `now` in s. */
  firstToken(pick: LeastTtftPick, now: number): void {
    const { cells, rates, attention, feedback, news } = this.#parts;
    const at = workerAt(pick.slot);
    const serviceS = now - Math.max(cells[at + FIRST_BYTE_AT] ?? 0, pick.sentAt);
    cells[at + FIRST_BYTE_AT] = Math.max(cells[at + FIRST_BYTE_AT] ?? 0, now);
    const isCertain = pick.fullTokens - pick.safeTokens <= MOST_IN_FLIGHT;
    if (pick.isFirst && isCertain) {
      attention.observe(pick.predictedCachedTokens, pick.uncached, serviceS - rates.overheadS(pick.slot), now);
    }
    if (!isCertain && pick.waitingS > LEAST_WAIT_S && !feedback.tellsCached) this.#foundByTime(pick, serviceS);
    const before = this.#wholeBefore(pick, at) + news.servedBefore(pick.slot, pick.sentAt);
    rates.firstByte(pick.slot, pick.work + before, serviceS, now, isCertain);
  }

  /** A request was answered. `tookS`: the whole time, s. */
  answered(pick: LeastTtftPick, { usage }: PickEnd, tookS: number): void {
    const { feedback, whole } = this.#parts;
    const cached = usage?.cachedTokens;
    feedback.answered(cached !== undefined);
    if (usage?.promptTokens !== undefined && !pick.isTokenized) {
      feedback.promptTokens(pick.prompt.bytes, usage.promptTokens);
    }
    // Of a pair, the prefill worker's count is told.
    if (cached !== undefined && pick.shows !== "no_prefill") this.#found(pick, cached);
    if (usage?.promptTokens !== undefined && pick.shows !== "no_prefill") this.#grade(pick, usage.promptTokens, cached);
    if (pick.shows === "whole") whole.observe(pick.slot, pick.work, usage?.completionTokens ?? 0, tookS);
  }

  /**
   * Where answers do not tell cached tokens, the time between first tokens says whether a prefix that was in flight was prefilled once more.
   * It also says so sooner: not at the end of the answer, but at its beginning.
   */
  #foundByTime({ slot, contextTokens, fullTokens, safeTokens }: LeastTtftPick, serviceS: number): void {
    const { rates, feedback } = this.#parts;
    const tokenS = rates.tokenS(slot);
    const newS = tokenS * Math.max(0, contextTokens - fullTokens);
    if (tokenS > 0) feedback.sharedSeen(1 - (serviceS - newS) / (tokenS * (fullTokens - safeTokens)));
  }

  /** The worker told how many tokens it had cached. */
  #found(pick: LeastTtftPick, cached: number): void {
    const { feedback } = this.#parts;
    const { matchedBytes, safeTokens, fullTokens, waitingS } = pick;
    const inFlight = fullTokens - safeTokens;
    if (inFlight > MOST_IN_FLIGHT && waitingS > LEAST_WAIT_S) feedback.cachedTokens(cached, safeTokens, fullTokens);
    if (inFlight > 0 || matchedBytes === 0) return;
    const bytes = cached / (pick.isTokenized ? EXACT_TOKENS_PER_BYTE : feedback.tokensPerByte);
    feedback.cachedBytes(bytes, matchedBytes, blockBytesAt(matchedBytes));
  }

  /** Shares of the prompt are compared, so that it does not matter how many tokens a byte of this prompt makes. */
  #grade(pick: LeastTtftPick, promptTokens: number, cached: number | undefined): void {
    this.#parts.index.grade(pick.slot, (pick.safeTokens / pick.contextTokens) * promptTokens, cached);
  }

  /** Work of requests without streams that the worker prefilled in the same time, as far as no other first token has accounted for it. */
  #wholeBefore(pick: LeastTtftPick, at: number): number {
    const { cells } = this.#parts;
    const seen = cells[at + WHOLE_SEEN] ?? 0;
    if (pick.wholeSent <= seen) return 0;
    cells[at + WHOLE_SEEN] = pick.wholeSent;
    return Math.min(pick.wholeAhead, pick.wholeSent - seen);
  }
}
