import type { Candidate, RequestFeatures } from "../policy.ts";
import { blockBytesAt, type PromptBlocks } from "../prefix-blocks.ts";
import type { PrefixIndex } from "../prefix-index.ts";
import type { Attention } from "./attention.ts";
import { decodeCost, evictionCost, heldUpCost, kvWallCost, prefillWork, waitingCost, waitingSeconds } from "./cost.ts";
import type { PublishedWork } from "./pending-work.ts";
import type { ServiceRates } from "./service-rates.ts";
import { FIRST_BYTE_AT, workerAt } from "./shared-layout.ts";
import { EXACT_TOKENS_PER_BYTE, type UsageFeedback } from "./usage-feedback.ts";
import { Weighed } from "./weighed.ts";

/** A request that waits less than this meets the prefixes in flight before it as cached ones, s: they are prefilled before its turn. */
const SOON_S = 0.15;

/** Load that other gateways have put on a worker. */
export interface ForeignLoad {
  /** Nobody has ever told anything, so all of it is 0. */
  readonly isSilent: boolean;
  pendingWork(slot: number): number;
  inFlight(slot: number): number;
  decoding(slot: number): number;
  contextTokens(slot: number): number;
  /** The oldest request without a first token: when it was sent, s (0 for none), and its work. */
  oldestAt(slot: number): number;
  oldestWork(slot: number): number;
}

export interface WeigherParts {
  readonly cells: Float64Array;
  readonly rates: ServiceRates;
  readonly pending: PublishedWork;
  readonly attention: Attention;
  readonly feedback: UsageFeedback;
  readonly index: PrefixIndex;
  readonly foreign: ForeignLoad;
}

/** Works out the terms of the cost of a request at a worker, from what is known of both. Makes no objects. */
export class Weigher {
  /** The candidates that were weighed last. */
  readonly weighed = new Weighed();
  readonly #parts: WeigherParts;
  #tokensPerByte = EXACT_TOKENS_PER_BYTE;
  #attention = 0;
  #shared = 1;
  #beyond = 0;

  constructor(parts: WeigherParts) {
    this.#parts = parts;
  }

  /** Tokens for each byte of the request's prompt. */
  get tokensPerByte(): number {
    return this.#tokensPerByte;
  }

  /** Begins with a request, whose prompt the index has matched. */
  begin(request: RequestFeatures, prompt: PromptBlocks, now: number): void {
    const { feedback, attention } = this.#parts;
    const { bytes } = prompt;
    this.#tokensPerByte = request.isTokenized ? EXACT_TOKENS_PER_BYTE : feedback.tokensPerByte;
    this.#attention = attention.perToken;
    this.#shared = feedback.shared;
    this.#beyond = feedback.beyond;
    const isCounted = request.isTokenized || bytes === 0;
    const tokens = isCounted ? request.promptTokens : bytes * this.#tokensPerByte;
    this.weighed.prompt = prompt;
    this.weighed.promptTokens = Math.max(1, tokens);
    this.weighed.now = now;
    this.weighed.count = 0;
  }

  /** Weighs one candidate; `index` is its index among all. `isAlone`: a decode worker prefills the prompt itself. */
  add(candidate: Candidate, index: number, isAlone = false): void {
    const { weighed } = this;
    const at = weighed.count;
    weighed.count += 1;
    weighed.index[at] = index;
    weighed.slot[at] = candidate.slot;
    this.#parts.pending.look(candidate.slot);
    // A decode worker gets the prompt's cache from a prefill worker, unless it is to do without.
    if (candidate.role === "decode" && !isAlone) this.#prefillsNothing(at, candidate.slot);
    else this.#prefill(at, candidate);
    this.#crowd(at, candidate);
  }

  #prefillsNothing(at: number, slot: number): void {
    const { weighed } = this;
    weighed.waitingS[at] = 0;
    weighed.isFirst[at] = 1;
    weighed.wholeAhead[at] = 0;
    this.#match(at, slot);
    weighed.uncached[at] = 0;
    weighed.work[at] = 0;
    weighed.overheadS[at] = 0;
    weighed.prefillS[at] = 0;
    weighed.eviction[at] = 0;
  }

  /** Waiting, and the request's own prefill. */
  #prefill(at: number, candidate: Candidate): void {
    const { weighed } = this;
    const { rates, index } = this.#parts;
    const { slot } = candidate;
    rates.refresh(slot, weighed.now);
    this.#wait(at, candidate);
    this.#match(at, slot);
    const cached = weighed.cachedTokens[at] ?? 0;
    const uncached = weighed.promptTokens - cached;
    const work = prefillWork(cached, uncached, this.#attention);
    const tokenS = rates.tokenS(slot);
    weighed.uncached[at] = uncached;
    weighed.work[at] = work;
    weighed.overheadS[at] = weighed.isFirst[at] ? rates.overheadS(slot) : 0;
    weighed.prefillS[at] = tokenS * work;
    const fill = candidate.kvCapacityTokens === undefined ? 0 : index.fill(slot);
    weighed.eviction[at] = evictionCost(tokenS, uncached, fill);
  }

  /** How long it waits for what pends there. */
  #wait(at: number, candidate: Candidate): void {
    const { weighed } = this;
    const { rates, pending, foreign, cells } = this.#parts;
    const { slot } = candidate;
    const { now } = weighed;
    const tokenS = rates.tokenS(slot);
    const wholeAhead = Math.min(pending.wholeWork, Math.max(0, pending.wholeDoneAt(slot) - now) / tokenS);
    const { isSilent } = foreign;
    const own = Math.max(0, candidate.pendingPromptTokens - pending.wholeWork);
    const streams = isSilent ? own : own + foreign.pendingWork(slot);
    const work = streams + wholeAhead;
    weighed.wholeAhead[at] = wholeAhead;
    weighed.isFirst[at] = work > 0 ? 0 : 1;
    weighed.waitingS[at] = 0;
    if (work === 0) return;
    const foreignAt = isSilent ? 0 : foreign.oldestAt(slot);
    const isForeign = foreignAt > 0 && (pending.oldestAt === 0 || foreignAt < pending.oldestAt);
    const oldestAt = isForeign ? foreignAt : pending.oldestAt;
    const oldestWork = isForeign ? foreign.oldestWork(slot) : pending.oldestWork;
    const since = Math.max(oldestAt, cells[workerAt(slot) + FIRST_BYTE_AT] ?? 0);
    const elapsedS = oldestAt > 0 ? Math.max(0, now - since) : 0;
    weighed.waitingS[at] = Math.max(0, waitingSeconds(rates.overheadS(slot), tokenS, work, oldestWork, elapsedS));
  }

  /** How much of the prompt it has cached. */
  #match(at: number, slot: number): void {
    const { weighed } = this;
    const { index } = this.#parts;
    const number = index.numberOf(slot);
    const matchedBytes = number < 0 ? 0 : index.bytesAt(number);
    const full = this.#tokensOf(matchedBytes);
    const safe = number < 0 ? 0 : this.#tokensOf(index.safeBytesAt(number));
    const isSoon = (weighed.waitingS[at] ?? 0) < SOON_S;
    const cached = (isSoon ? full : safe + this.#shared * (full - safe)) * index.trust(slot);
    weighed.matchedBytes[at] = matchedBytes;
    weighed.fullTokens[at] = full;
    weighed.safeTokens[at] = safe;
    // An engine computes at least the last token anew.
    weighed.cachedTokens[at] = Math.max(0, Math.min(weighed.promptTokens - 1, cached));
  }

  /** Tokens of a prefix that is known up to the end of a block: it reaches some way into the next one. */
  #tokensOf(bytes: number): number {
    return bytes === 0 ? 0 : (bytes + this.#beyond * blockBytesAt(bytes)) * this.#tokensPerByte;
  }

  /** What the request costs those that decode there, and its own decoding among them. */
  #crowd(at: number, candidate: Candidate): void {
    const { weighed } = this;
    const { pending, foreign, rates } = this.#parts;
    const { slot } = candidate;
    const { isSilent } = foreign;
    const contextTokens = candidate.contextTokens + (isSilent ? 0 : foreign.contextTokens(slot));
    const inFlight = candidate.inFlight + (isSilent ? 0 : foreign.inFlight(slot));
    const prefillS = weighed.prefillS[at] ?? 0;
    const whole = weighed.wholeAhead[at] ?? 0;
    const wholeDecoding = pending.wholeWork > 0 ? pending.wholeCount * (1 - whole / pending.wholeWork) : 0;
    const decoding = candidate.decoding + (isSilent ? 0 : foreign.decoding(slot)) + wholeDecoding;
    const sharedTokens = this.#shared * ((weighed.cachedTokens[at] ?? 0) - (weighed.safeTokens[at] ?? 0));
    const ownS = Math.max(0, sharedTokens) * rates.tokenS(slot);
    weighed.waiting[at] = waitingCost(weighed.waitingS[at] ?? 0, ownS);
    weighed.decode[at] = decodeCost(inFlight, contextTokens);
    weighed.heldUp[at] = heldUpCost(prefillS, decoding, candidate.role === "decode");
    weighed.kvWall[at] = kvWallCost(contextTokens + weighed.promptTokens, candidate.kvCapacityTokens);
    weighed.cost[at] =
      (weighed.waiting[at] ?? 0) +
      (weighed.overheadS[at] ?? 0) +
      prefillS +
      (weighed.decode[at] ?? 0) +
      (weighed.heldUp[at] ?? 0) +
      (weighed.eviction[at] ?? 0) +
      (weighed.kvWall[at] ?? 0);
  }
}
