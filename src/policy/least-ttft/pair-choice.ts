import type {
  Candidate,
  Explanation,
  PairCandidates,
  PairExplanations,
  PickedPair,
  RequestFeatures,
} from "../policy.ts";
import { explained } from "./explained.ts";
import { PendingHandover } from "./handover.ts";
import type { Knowledge } from "./knowledge.ts";
import type { LeastTtftPick, PrefillAhead } from "./least-ttft-pick.ts";
import { CACHED_TOKENS, COST, DECODE, INDEX, KV_WALL, MOST_COMPARED, ROW, type Weighed } from "./weighed.ts";

/** How a worker is taken. */
export interface TakenAs {
  /** A decode worker prefills the prompt itself. */
  readonly isAlone?: boolean;
  /** A prefill worker has the prompt first. */
  readonly ahead?: PrefillAhead | undefined;
}

/** The policy of one role. */
export interface PairSide {
  readonly known: Knowledge;
  weigh(candidates: readonly Candidate[], request: RequestFeatures, isShown?: boolean, isAlone?: boolean): Weighed;
  take(candidates: readonly Candidate[], request: RequestFeatures, at: number, as?: TakenAs): LeastTtftPick;
  /** What was weighed last is shown for these candidates; the choice is then made of it. */
  show(candidates: readonly Candidate[], request: RequestFeatures): void;
  /** Whether it was, and nothing has been weighed since. */
  isShown(candidates: readonly Candidate[], request: RequestFeatures): boolean;
}

/** A request, and the workers of both roles that may have it. */
export interface PairQuestion {
  readonly prefill: PairSide;
  readonly decode: PairSide;
  readonly candidates: PairCandidates;
  readonly request: RequestFeatures;
}

/**
 * Chooses a prefill and a decode worker at once, or a decode worker alone. For each decode worker d there are two ways:
 *
 * ```
 *   separate: cost of the cheapest prefill worker that fits + hand-over of what d does not have + decode and KV terms of d
 *   alone:    waiting and prefill at d + what that holds up there + decode and KV terms of d
 * ```
 *
 * The cheapest prefill worker is the same for each d that it fits, so this takes time in the number of workers, not of pairs.
 */
export class PairChoice {
  /** By the place of a decode worker: the costs of both ways, s (Infinity where there is none), and the prefill worker's place. */
  readonly separateS = new Float64Array(MOST_COMPARED);
  readonly aloneS = new Float64Array(MOST_COMPARED);
  readonly prefillAt = new Int32Array(MOST_COMPARED);
  /** Time of the hand-over, s. */
  readonly handoverS = new Float64Array(MOST_COMPARED);

  /** What was explained last: the place of the decode worker, and the rows of decode workers that prefill alone. */
  #shownAt = -1;
  #shownAlone: Float64Array = NO_ROWS;

  /** undefined where no two workers fit, and no decode worker prefills alone. */
  pick(question: PairQuestion): PickedPair | undefined {
    const { prefill, decode, candidates, request } = question;
    const { decoders, prefillers } = candidates;
    const isShown = decode.isShown(decoders, request) && prefill.isShown(prefillers, request);
    const at = isShown ? this.#shownAt : this.#choose(question);
    if (at < 0) return undefined;
    const { weighed } = decode.known.weigher;
    if ((this.aloneS[at] ?? 0) < (this.separateS[at] ?? 0)) {
      const alone = isShown ? this.#asShown(weighed, at) : this.#again(question, weighed.of(at, INDEX));
      return { prefill: undefined, decode: decode.take(decoders, request, alone, { isAlone: true }) };
    }
    const from = this.prefillAt[at] ?? 0;
    const ofPrefill = prefill.known.weigher.weighed;
    const handover = new PendingHandover(missingTokens(weighed, at));
    const ahead = {
      seconds: ofPrefill.ttftS(from) + (this.handoverS[at] ?? 0),
      cachedTokens: ofPrefill.of(from, CACHED_TOKENS),
    };
    const first = prefill.take(prefillers, request, from);
    const second = decode.take(decoders, request, at, { ahead });
    first.handover = second.handover = handover;
    return { prefill: first, decode: second };
  }

  /** What `pick` would compare. */
  explain(question: PairQuestion): PairExplanations | undefined {
    const { prefill, decode, candidates, request } = question;
    const weighedAlone = decode.weigh(candidates.decoders, request, true, true);
    const alone = explained(weighedAlone);
    this.#shownAlone = weighedAlone.cells.slice(0, weighedAlone.count * ROW);
    this.#shownAt = this.#choose(question, weighedAlone);
    if (this.#shownAt < 0) return undefined;
    prefill.show(candidates.prefillers, request);
    decode.show(candidates.decoders, request);
    const hasPrefill = candidates.prefillers.length > 0;
    const ofPrefill = hasPrefill ? explained(prefill.known.weigher.weighed) : [];
    const { weighed } = decode.known.weigher;
    const ofDecode = alone.map((one, at) => ((this.aloneS[at] ?? 0) < (this.separateS[at] ?? 0) ? one : undefined));
    return {
      prefill: ofPrefill,
      decode: ofDecode.map((one, at) => one ?? explainedSeparate(this, weighed, ofPrefill, at)),
    };
  }

  /**
   * The place of the chosen decode worker among those weighed, -1 for none. Its two ways are in the lists. `alone`: the decode workers as they
   * have just been weighed to prefill alone.
   */
  #choose(question: PairQuestion, alone?: Weighed): number {
    const { prefill, decode, candidates, request } = question;
    decode.known.rates.follow(prefill.known.rates);
    decode.known.attention.follow(prefill.known.attention);
    prefill.known.feedback.follow(decode.known.feedback);
    const isShown = alone !== undefined;
    this.#weighAlone(question, alone);
    const hasPrefill = candidates.prefillers.length > 0;
    const ofPrefill = hasPrefill ? prefill.weigh(candidates.prefillers, request, isShown) : undefined;
    const best = ofPrefill ? prefill.known.chooser.choose(ofPrefill) : -1;
    const weighed = decode.weigh(candidates.decoders, request, isShown);
    let isAny = false;
    for (let at = 0; at < weighed.count; at += 1) {
      this.#weighSeparate(question, ofPrefill, best, at);
      const costS = Math.min(this.separateS[at] ?? 0, this.aloneS[at] ?? 0);
      weighed.cells[at * ROW + COST] = costS;
      isAny ||= costS < NEVER;
    }
    return isAny ? decode.known.chooser.choose(weighed) : -1;
  }

  /** The costs of decode workers that prefill alone. */
  #weighAlone({ decode, candidates, request }: PairQuestion, alone: Weighed | undefined): void {
    const { decoders } = candidates;
    this.aloneS.fill(NEVER);
    let mayOne = false;
    for (let index = 0; index < decoders.length && !mayOne; index += 1) mayOne = candidates.prefillsAlone(index);
    if (!mayOne) return;
    const weighed = alone ?? decode.weigh(decoders, request, true, true);
    for (let at = 0; at < weighed.count; at += 1) {
      if (candidates.prefillsAlone(weighed.of(at, INDEX))) this.aloneS[at] = weighed.of(at, COST);
    }
  }

  /** The cost of the decode worker at a place with the cheapest prefill worker that fits. */
  #weighSeparate({ decode, candidates }: PairQuestion, ofPrefill: Weighed | undefined, best: number, at: number): void {
    const { weighed } = decode.known.weigher;
    const index = weighed.of(at, INDEX);
    const from = ofPrefill ? cheapestFor(candidates, ofPrefill, best, index) : -1;
    const handoverS = decode.known.handover.costS(missingTokens(weighed, at));
    this.prefillAt[at] = from;
    this.handoverS[at] = handoverS;
    this.separateS[at] = ofPrefill && from >= 0 ? ofPrefill.of(from, COST) + handoverS + weighed.of(at, COST) : NEVER;
  }

  /** Puts the row of a decode worker that prefills alone first, as it was shown. Returns its place. */
  #asShown(weighed: Weighed, at: number): number {
    weighed.cells.set(this.#shownAlone.subarray(at * ROW, (at + 1) * ROW));
    weighed.count = 1;
    return 0;
  }

  /** Weighs one decode worker once more, in the way that was chosen. Returns its place. */
  #again({ decode, candidates }: PairQuestion, index: number): number {
    const { weigher } = decode.known;
    const candidate = candidates.decoders[index];
    weigher.weighed.count = 0;
    if (candidate) weigher.add(candidate, index, true);
    return 0;
  }
}

const NO_ROWS = new Float64Array(0);
/** The cost of what cannot be done. */
const NEVER = Number.POSITIVE_INFINITY;

/** Prompt tokens that the decode worker at a place has to be given. */
function missingTokens(weighed: Weighed, at: number): number {
  return weighed.promptTokens - weighed.of(at, CACHED_TOKENS);
}

/** The place of the cheapest prefill worker that fits this decode worker, -1 for none. `best` is the cheapest of all, which nearly always fits. */
function cheapestFor(candidates: PairCandidates, ofPrefill: Weighed, best: number, decode: number): number {
  if (best >= 0 && candidates.fits(ofPrefill.of(best, INDEX), decode)) return best;
  let cheapest = -1;
  for (let at = 0; at < ofPrefill.count; at += 1) {
    const isCheaper = cheapest < 0 || ofPrefill.of(at, COST) < ofPrefill.of(cheapest, COST);
    if (isCheaper && candidates.fits(ofPrefill.of(at, INDEX), decode)) cheapest = at;
  }
  return cheapest;
}

/** A decode worker that a prefill worker hands the KV cache to. */
function explainedSeparate(
  { prefillAt, handoverS, separateS }: PairChoice,
  weighed: Weighed,
  ofPrefill: readonly Explanation[],
  at: number,
): Explanation {
  const from = ofPrefill[prefillAt[at] ?? 0];
  const handover = handoverS[at] ?? 0;
  return {
    index: weighed.of(at, INDEX),
    cost: separateS[at] ?? 0,
    terms: {
      prefill_worker: from?.cost ?? 0,
      hand_over: handover,
      decode: weighed.of(at, DECODE),
      kv_wall: weighed.of(at, KV_WALL),
    },
    predictedTtftMs: (from?.predictedTtftMs ?? 0) + handover * 1000,
    cachedTokens: weighed.of(at, CACHED_TOKENS),
  };
}
