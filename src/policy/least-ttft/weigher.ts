import type { Candidate, RequestFeatures } from "../policy.ts";
import { blockBytesAt, type PromptBlocks } from "../prefix-blocks.ts";
import type { PrefixIndex } from "../prefix-index.ts";
import { Arrivals } from "./arrivals.ts";
import type { Attention } from "./attention.ts";
import { decodeCost, evictionCost, heldUpCost, kvWallCost, prefillWork, waitingCost, waitingSeconds } from "./cost.ts";
import type { PublishedWork } from "./pending-work.ts";
import type { ServiceRates } from "./service-rates.ts";
import type { StreamPulse } from "./stream-pulse.ts";
import { FIRST_BYTE_AT, workerAt } from "./shared-layout.ts";
import { EXACT_TOKENS_PER_BYTE, type UsageFeedback } from "./usage-feedback.ts";
import {
  ARRIVALS,
  CACHED_TOKENS,
  COST,
  DECODE,
  EVICTION,
  FULL_TOKENS,
  HELD_UP,
  INDEX,
  IS_FIRST,
  KV_WALL,
  MATCHED_BYTES,
  OVERHEAD_S,
  PREFILL_S,
  ROW,
  SAFE_TOKENS,
  SLOT,
  UNCACHED,
  UNHEARD,
  WAITING,
  WAITING_S,
  Weighed,
  WHOLE_AHEAD,
  WORK,
} from "./weighed.ts";

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
  readonly pulse: StreamPulse;
  readonly attention: Attention;
  readonly feedback: UsageFeedback;
  readonly index: PrefixIndex;
  readonly foreign: ForeignLoad;
}

/** Works out the terms of the cost of a request at a worker, from what is known of both. Makes no objects. */
export class Weigher {
  /** The candidates that were weighed last. */
  readonly weighed = new Weighed();
  readonly arrivals: Arrivals;
  readonly #parts: WeigherParts;
  #tokensPerByte = EXACT_TOKENS_PER_BYTE;
  #attention = 0;
  #shared = 1;
  #beyond = 0;
  /** The prefix of this request whose tokens were worked out last; 0 for none. */
  #lastBytes = 0;
  #lastTokens = 0;

  constructor(parts: WeigherParts) {
    this.#parts = parts;
    this.arrivals = new Arrivals(parts.cells);
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
    this.#lastBytes = 0;
    const isCounted = request.isTokenized || bytes === 0;
    const tokens = isCounted ? request.promptTokens : bytes * this.#tokensPerByte;
    this.arrivals.begin(now);
    this.weighed.prompt = prompt;
    this.weighed.promptTokens = Math.max(1, tokens);
    this.weighed.now = now;
    this.weighed.count = 0;
  }

  /** Weighs one candidate; `index` is its index among all. `isAlone`: a decode worker prefills the prompt itself. */
  add(candidate: Candidate, index: number, isAlone = false): void {
    const { weighed } = this;
    const { cells } = weighed;
    const { slot } = candidate;
    const row = weighed.count * ROW;
    weighed.count += 1;
    cells[row + INDEX] = index;
    cells[row + SLOT] = slot;
    this.#parts.pending.look(slot);
    // A decode worker gets the prompt's cache from a prefill worker, unless it is to do without.
    if (candidate.role === "decode" && !isAlone) this.#prefillsNothing(row, slot);
    else this.#prefill(row, candidate);
    this.#crowd(row, candidate);
  }

  #prefillsNothing(row: number, slot: number): void {
    const { cells } = this.weighed;
    cells[row + WAITING_S] = 0;
    cells[row + IS_FIRST] = 1;
    cells[row + WHOLE_AHEAD] = 0;
    this.#match(row, slot, 0);
    cells[row + UNCACHED] = 0;
    cells[row + WORK] = 0;
    cells[row + OVERHEAD_S] = 0;
    cells[row + PREFILL_S] = 0;
    cells[row + EVICTION] = 0;
    cells[row + UNHEARD] = 0;
  }

  /** Waiting, and the request's own prefill. */
  #prefill(row: number, candidate: Candidate): void {
    const { cells, now, promptTokens } = this.weighed;
    const { rates, index } = this.#parts;
    const { slot } = candidate;
    rates.refresh(slot, now);
    const tokenS = rates.tokenS(slot);
    const overheadS = rates.overheadS(slot);
    const work = this.#workBefore(row, candidate, tokenS);
    const waitingS = work === 0 ? this.#silence(candidate) : this.#waitFor(work, candidate, overheadS, tokenS);
    cells[row + IS_FIRST] = work > 0 ? 0 : 1;
    cells[row + WAITING_S] = waitingS;
    const cached = this.#match(row, slot, waitingS);
    const uncached = promptTokens - cached;
    const ownWork = prefillWork(cached, uncached, this.#attention);
    cells[row + UNCACHED] = uncached;
    cells[row + WORK] = ownWork;
    cells[row + OVERHEAD_S] = work > 0 ? 0 : this.#overheadNow(candidate, overheadS);
    cells[row + PREFILL_S] = tokenS * ownWork;
    const fill = candidate.kvCapacityTokens === undefined ? 0 : index.fill(slot);
    cells[row + EVICTION] = evictionCost(tokenS, uncached, fill);
    cells[row + UNHEARD] = 0;
  }

  /** What pends there, in tokens of work. */
  #workBefore(row: number, candidate: Candidate, tokenS: number): number {
    const { cells, now } = this.weighed;
    const { pending, foreign } = this.#parts;
    const { slot } = candidate;
    const { wholeWork } = pending;
    const wholeAhead = wholeWork === 0 ? 0 : Math.min(wholeWork, Math.max(0, pending.wholeDoneAt(slot) - now) / tokenS);
    cells[row + WHOLE_AHEAD] = wholeAhead;
    const own = Math.max(0, candidate.pendingPromptTokens - wholeWork);
    return wholeAhead + (foreign.isSilent ? own : own + foreign.pendingWork(slot));
  }

  /** How long it waits for that work, s. */
  #waitFor(work: number, { slot, decoding }: Candidate, overheadS: number, tokenS: number): number {
    const { now } = this.weighed;
    const { pending, foreign, cells, pulse } = this.#parts;
    const foreignAt = foreign.isSilent ? 0 : foreign.oldestAt(slot);
    const isForeign = foreignAt > 0 && (pending.oldestAt === 0 || foreignAt < pending.oldestAt);
    const oldestAt = isForeign ? foreignAt : pending.oldestAt;
    const oldestWork = isForeign ? foreign.oldestWork(slot) : pending.oldestWork;
    const since = Math.max(oldestAt, cells[workerAt(slot) + FIRST_BYTE_AT] ?? 0);
    const from = oldestAt > 0 ? Math.min(since, now) : now;
    const waitS = waitingSeconds(overheadS, tokenS, work, oldestWork, now - from);
    if (decoding === 0) return Math.max(0, waitS);
    return Math.max(0, waitS + pulse.untilNextStepS(slot, from, overheadS)) + pulse.silentS(slot, decoding, from, now);
  }

  /** What its silence counts for where nothing pends, s. */
  #silence({ slot, decoding }: Candidate): number {
    const { now } = this.weighed;
    return decoding === 0 ? 0 : this.#parts.pulse.silentS(slot, decoding, now, now);
  }

  /** The overhead of a request that begins with the next step, s: less where the step in progress is nearly over. */
  #overheadNow({ slot, decoding }: Candidate, overheadS: number): number {
    if (decoding === 0) return overheadS;
    return Math.max(0, overheadS + this.#parts.pulse.untilNextStepS(slot, this.weighed.now, overheadS));
  }

  /** How much of the prompt it has cached, tokens. */
  #match(row: number, slot: number, waitingS: number): number {
    const { cells, promptTokens } = this.weighed;
    const { index } = this.#parts;
    const number = index.numberOf(slot);
    const matchedBytes = number < 0 ? 0 : index.bytesAt(number);
    const full = this.#tokensOf(matchedBytes);
    const safeBytes = number < 0 ? 0 : index.safeBytesAt(number);
    const safe = safeBytes === matchedBytes ? full : this.#tokensOf(safeBytes);
    const known = waitingS < SOON_S ? full : safe + this.#shared * (full - safe);
    // An engine computes at least the last token anew.
    const cached = known === 0 ? 0 : Math.max(0, Math.min(promptTokens - 1, known * index.trust(slot)));
    cells[row + MATCHED_BYTES] = matchedBytes;
    cells[row + FULL_TOKENS] = full;
    cells[row + SAFE_TOKENS] = safe;
    cells[row + CACHED_TOKENS] = cached;
    return cached;
  }

  /** Tokens of a prefix that is known up to the end of a block: it reaches some way into the next one. Many candidates have the same. */
  #tokensOf(bytes: number): number {
    if (bytes === 0) return 0;
    if (bytes !== this.#lastBytes) {
      this.#lastBytes = bytes;
      this.#lastTokens = (bytes + this.#beyond * blockBytesAt(bytes)) * this.#tokensPerByte;
    }
    return this.#lastTokens;
  }

  /** What the request costs those that decode there, and its own decoding among them. */
  #crowd(row: number, candidate: Candidate): void {
    const { cells, promptTokens } = this.weighed;
    const { pending, foreign, rates } = this.#parts;
    const { slot } = candidate;
    const { isSilent } = foreign;
    const contextTokens = candidate.contextTokens + (isSilent ? 0 : foreign.contextTokens(slot));
    const inFlight = candidate.inFlight + (isSilent ? 0 : foreign.inFlight(slot));
    const prefillS = cells[row + PREFILL_S] ?? 0;
    const { wholeWork } = pending;
    const wholeDecoding = wholeWork > 0 ? pending.wholeCount * (1 - (cells[row + WHOLE_AHEAD] ?? 0) / wholeWork) : 0;
    const decoding = candidate.decoding + (isSilent ? 0 : foreign.decoding(slot)) + wholeDecoding;
    const sharedTokens = this.#shared * ((cells[row + CACHED_TOKENS] ?? 0) - (cells[row + SAFE_TOKENS] ?? 0));
    const waitingS = cells[row + WAITING_S] ?? 0;
    const waiting = waitingCost(waitingS, Math.max(0, sharedTokens) * rates.tokenS(slot));
    const decode = decodeCost(inFlight, contextTokens);
    const heldUp = heldUpCost(prefillS, decoding, candidate.role === "decode");
    const others = this.arrivals.costS(slot, waitingS, prefillS);
    const kvWall = kvWallCost(contextTokens + promptTokens, candidate.kvCapacityTokens);
    cells[row + WAITING] = waiting;
    cells[row + DECODE] = decode;
    cells[row + HELD_UP] = heldUp;
    cells[row + KV_WALL] = kvWall;
    cells[row + ARRIVALS] = others;
    cells[row + COST] =
      waiting +
      (cells[row + OVERHEAD_S] ?? 0) +
      prefillS +
      decode +
      heldUp +
      others +
      (cells[row + EVICTION] ?? 0) +
      kvWall;
  }
}
