import type { PickReason } from "../pick-reasons.ts";
import type { Candidate, PickEnd, Picked, RequestFeatures } from "../policy.ts";
import type { PromptBlocks } from "../prefix-blocks.ts";
import type { Linked } from "./linked-queues.ts";
import type { PendingHandover } from "./handover.ts";
import type { PendingRequest } from "./pending-work.ts";
import {
  CACHED_TOKENS,
  FULL_TOKENS,
  INDEX,
  IS_FIRST,
  MATCHED_BYTES,
  OVERHEAD_S,
  SAFE_TOKENS,
  SLOT,
  UNCACHED,
  WAITING_S,
  type Weighed,
  WHOLE_AHEAD,
  WORK,
} from "./weighed.ts";

/** Largest charge: sums of charges have 32 bits. */
const MOST_TOKENS = 16_777_216;

/** Hears what happens to a choice. */
export interface PickOwner {
  onFirstToken(pick: LeastTtftPick, ms: number): void;
  onPiece(pick: LeastTtftPick, ms: number): void;
  onEnd(pick: LeastTtftPick, end: PickEnd): void;
}

/** What a choice knows besides the weighing. */
export interface PickFacts {
  readonly reason: PickReason;
  readonly workerId: string;
  /** How often the worker had been forgotten. */
  readonly era: number;
  /** The instance's number of the facts. */
  readonly number: number;
  readonly prompt: PromptBlocks;
  readonly shows: Shows;
  readonly isTokenized: boolean;
  /** For the decode worker of a pair: what is expected of the prefill worker, and of the hand-over. */
  readonly ahead: PrefillAhead | undefined;
}

/** What is expected of a prefill that a decode worker waits for. */
export interface PrefillAhead {
  /** Until the decode worker has the KV cache, s. */
  readonly seconds: number;
  /** Prompt tokens that the prefill worker has cached. */
  readonly cachedTokens: number;
}

/**
 * What the gateway sees of the prefill: its end as the `first_token` (streams, and prefill workers), nothing (`whole` answers), or there is
 * `no_prefill` (decode workers).
 */
type Shows = "first_token" | "whole" | "no_prefill";

/** What will be seen of the prefill of a request at this worker. `isAlone`: a decode worker prefills the prompt itself. */
export function showsOf(
  candidate: Candidate | undefined,
  { isStream }: Pick<RequestFeatures, "isStream">,
  isAlone: boolean,
): Shows {
  if (candidate?.role === "decode" && !isAlone) return "no_prefill";
  return isStream || candidate?.role === "prefill" ? "first_token" : "whole";
}

/** One choice while its request is under way: what was expected of the worker, and its place in the worker's queue. */
export class LeastTtftPick implements Picked, PendingRequest, Linked<LeastTtftPick> {
  readonly index: number;
  readonly chargeTokens: number;
  readonly contextTokens: number;
  readonly predictedTtftMs: number;
  readonly predictedCachedTokens: number;
  readonly reason: PickReason;
  readonly slot: number;
  readonly sentAt: number;
  readonly prompt: PromptBlocks;
  readonly workerId: string;
  readonly era: number;
  readonly number: number;
  readonly shows: Shows;
  readonly isTokenized: boolean;
  /** Bytes of the prompt that the worker had, up to the end of a block. */
  readonly matchedBytes: number;
  /** Cached tokens without and with those that were in flight, and tokens that are not cached. */
  readonly safeTokens: number;
  readonly fullTokens: number;
  readonly uncached: number;
  /** Expected times until it begins, s, and whether it found nothing pending. */
  readonly waitingS: number;
  readonly overheadS: number;
  readonly isFirst: boolean;
  /** Work of requests without streams that pended before it. */
  readonly wholeAhead: number;
  /** Work of requests without streams that the worker had been sent until then. */
  wholeSent = 0;
  doneAt = 0;
  /** Bytes of the prompt that the worker had for certain, up to the end of a block, and what the index noted of the others. */
  safeBytes = 0;
  note = 0;
  /** Its prompt is in the cache for certain. */
  isSettled = false;
  hasFirstToken = false;
  /** The hand-over of its KV cache, for both choices of a pair. */
  handover: PendingHandover | undefined = undefined;
  before: LeastTtftPick | undefined = undefined;
  after: LeastTtftPick | undefined = undefined;
  readonly #owner: PickOwner;

  /** The candidate at place `at` of those weighed. */
  constructor(owner: PickOwner, weighed: Weighed, at: number, facts: PickFacts) {
    this.#owner = owner;
    this.index = weighed.of(at, INDEX);
    this.chargeTokens = Math.min(Math.ceil(weighed.of(at, WORK)), MOST_TOKENS);
    this.contextTokens = Math.min(Math.ceil(weighed.promptTokens), MOST_TOKENS);
    this.predictedTtftMs = ((facts.ahead?.seconds ?? 0) + weighed.ttftS(at)) * 1000;
    this.predictedCachedTokens = facts.ahead?.cachedTokens ?? weighed.of(at, CACHED_TOKENS);
    this.reason = facts.reason;
    this.slot = weighed.of(at, SLOT);
    this.sentAt = weighed.now;
    this.prompt = facts.prompt;
    this.workerId = facts.workerId;
    this.era = facts.era;
    this.number = facts.number;
    this.shows = facts.shows;
    this.isTokenized = facts.isTokenized;
    this.matchedBytes = weighed.of(at, MATCHED_BYTES);
    this.safeTokens = weighed.of(at, SAFE_TOKENS);
    this.fullTokens = weighed.of(at, FULL_TOKENS);
    this.uncached = weighed.of(at, UNCACHED);
    this.waitingS = weighed.of(at, WAITING_S);
    this.overheadS = weighed.of(at, OVERHEAD_S);
    this.isFirst = weighed.of(at, IS_FIRST) === 1;
    this.wholeAhead = weighed.of(at, WHOLE_AHEAD);
  }

  get work(): number {
    return this.chargeTokens;
  }

  onFirstToken(ms: number): void {
    if (this.hasFirstToken) return;
    this.hasFirstToken = true;
    this.#owner.onFirstToken(this, ms);
  }

  onPiece(ms: number): void {
    this.#owner.onPiece(this, ms);
  }

  onEnd(end: PickEnd): void {
    this.#owner.onEnd(this, end);
  }
}
