import type { Compared } from "../compared.ts";
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
import type { WorkerBounds } from "./worker-bounds.ts";

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
  readonly bounds: WorkerBounds;
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
  /** Tokens for each byte of the request's prompt. */
  #tokensPerByte = EXACT_TOKENS_PER_BYTE;
  /** What a token costs more for each token that it attends to, as a share. */
  #attention = 0;
  /** Share of a prefix in flight that saves work. */
  #shared = 1;
  /** How far a known prefix reaches into the next block, in sizes of that one. */
  #beyond = 0;
  /** The prefix of this request whose tokens were worked out last; 0 for none. */
  #lastBytes = 0;
  #lastTokens = 0;
  /** Where `touch` leaves what it has read, for nobody: the compiler would leave out what has no effect. */
  readonly #touched = new Float64Array(1);

  constructor(parts: WeigherParts) {
    this.#parts = parts;
    this.arrivals = new Arrivals(parts.cells);
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

  /**
   * Reads what `add` will read of the candidates that are compared, with nothing done in between, so that the processor fetches all of it from
   * memory at a time. For a large fleet, of which most is in no cache: there a choice takes up to a sixth less time.
   */
  touch(candidates: readonly Candidate[], compared: Pick<Compared, "at">, count: number): void {
    const { cells, rates, pending, index } = this.#parts;
    let touched = 0;
    for (let number = 0; number < count; number += 1) touched += candidates[compared.at(number)]?.slot ?? 0;
    for (let number = 0; number < count; number += 1) {
      const candidate = candidates[compared.at(number)];
      if (!candidate) continue;
      const { slot } = candidate;
      touched += candidate.inFlight + (candidate.kvCapacityTokens ?? 0);
      touched += (cells[workerAt(slot)] ?? 0) + rates.tokenS(slot) + pending.touch(slot) + index.numberOf(slot);
    }
    this.#touched[0] = touched;
  }

  /**
   * Weighs one candidate; `place` is its index among all. `isAlone`: a decode worker prefills the prompt itself. All that is worked out stays in
   * variables until the end: to write cells and to read them again where they are needed takes a third longer.
   */
  add(candidate: Candidate, place: number, isAlone = false): void {
    const { slot, role, decoding, kvCapacityTokens } = candidate;
    const { weighed } = this;
    const { cells, now, promptTokens } = weighed;
    const { bounds, rates, pending, foreign, index } = this.#parts;
    const isSilent = foreign.isSilent;
    const isDecode = role === "decode";
    // A decode worker gets the prompt's cache from a prefill worker, unless it is to do without.
    const prefills = !isDecode || isAlone;
    if (kvCapacityTokens !== undefined) bounds.set(slot, kvCapacityTokens, this.#tokensPerByte);
    if (prefills) rates.refresh(slot, now);
    const tokenS = rates.tokenS(slot);
    const overheadS = rates.overheadS(slot);

    pending.look(slot);
    const { wholeWork } = pending;
    const wholeAhead = prefills && wholeWork > 0 ? Math.min(wholeWork, this.#untilWholeDone(slot) / tokenS) : 0;
    const foreignWork = isSilent ? 0 : foreign.pendingWork(slot);
    const ownWork = Math.max(0, candidate.pendingPromptTokens - wholeWork);
    const workBefore = prefills ? wholeAhead + (ownWork + foreignWork) : 0;
    const waitingS = prefills ? this.#waitingS(workBefore, slot, decoding, overheadS, tokenS) : 0;

    const number = index.numberOf(slot);
    const matchedBytes = number < 0 ? 0 : index.bytesAt(number);
    const fullTokens = this.#tokensOf(matchedBytes);
    const safeTokens = number < 0 ? 0 : this.#tokensOf(index.safeBytesAt(number));
    const known = waitingS < SOON_S ? fullTokens : safeTokens + this.#shared * (fullTokens - safeTokens);
    // An engine computes at least the last token anew.
    const cached = known === 0 ? 0 : Math.max(0, Math.min(promptTokens - 1, known * index.trust(slot)));

    const uncached = prefills ? promptTokens - cached : 0;
    const work = prefillWork(cached, uncached, this.#attention);
    const prefillS = tokenS * work;
    const startS = prefills && workBefore === 0 ? this.#overheadNow(slot, decoding, overheadS) : 0;
    const fill = kvCapacityTokens === undefined ? 0 : index.fill(slot);

    const inFlight = candidate.inFlight + (isSilent ? 0 : foreign.inFlight(slot));
    const contextTokens = candidate.contextTokens + (isSilent ? 0 : foreign.contextTokens(slot));
    const wholeDecoding = wholeWork > 0 ? pending.wholeCount * (1 - wholeAhead / wholeWork) : 0;
    const decodingNow = decoding + (isSilent ? 0 : foreign.decoding(slot)) + wholeDecoding;
    const sharedS = Math.max(0, this.#shared * (cached - safeTokens)) * tokenS;
    const waiting = waitingCost(waitingS, sharedS);
    const decode = decodeCost(inFlight, contextTokens);
    const heldUp = heldUpCost(prefillS, decodingNow, isDecode);
    const arrivals = this.arrivals.costS(slot, waitingS, prefillS);
    const eviction = evictionCost(tokenS, uncached, fill);
    const kvWall = kvWallCost(contextTokens + promptTokens, kvCapacityTokens);

    const row = weighed.count * ROW;
    weighed.count += 1;
    cells[row + INDEX] = place;
    cells[row + SLOT] = slot;
    cells[row + MATCHED_BYTES] = matchedBytes;
    cells[row + SAFE_TOKENS] = safeTokens;
    cells[row + FULL_TOKENS] = fullTokens;
    cells[row + CACHED_TOKENS] = cached;
    cells[row + UNCACHED] = uncached;
    cells[row + WORK] = work;
    cells[row + IS_FIRST] = workBefore > 0 ? 0 : 1;
    cells[row + WAITING_S] = waitingS;
    cells[row + OVERHEAD_S] = startS;
    cells[row + PREFILL_S] = prefillS;
    cells[row + WHOLE_AHEAD] = wholeAhead;
    cells[row + WAITING] = waiting;
    cells[row + DECODE] = decode;
    cells[row + HELD_UP] = heldUp;
    cells[row + EVICTION] = eviction;
    cells[row + KV_WALL] = kvWall;
    cells[row + UNHEARD] = 0;
    cells[row + ARRIVALS] = arrivals;
    cells[row + COST] = waiting + startS + prefillS + decode + heldUp + arrivals + eviction + kvWall;
  }

  /** Until it will have prefilled its requests without streams, s. */
  #untilWholeDone(slot: number): number {
    return Math.max(0, this.#parts.pending.wholeDoneAt(slot) - this.weighed.now);
  }

  /** How long the request waits for `work` at the worker, s. Where nothing pends, its silence counts. */
  #waitingS(work: number, slot: number, decoding: number, overheadS: number, tokenS: number): number {
    const { now } = this.weighed;
    const { pending, foreign, cells, pulse } = this.#parts;
    if (work === 0) return decoding === 0 ? 0 : pulse.silentS(slot, decoding, now, now);
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

  /** The overhead of a request that begins with the next step, s: less where the step in progress is nearly over. */
  #overheadNow(slot: number, decoding: number, overheadS: number): number {
    if (decoding === 0) return overheadS;
    return Math.max(0, overheadS + this.#parts.pulse.untilNextStepS(slot, this.weighed.now, overheadS));
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
}
