import { keysOf } from "../util/objects.ts";
import type { Candidate, PickUsage, PolicyParts, RequestFeatures } from "./policy.ts";

/** A signal: what it is, and whether a policy that needs it is another policy without it. Without the others it only chooses less well. */
export interface SignalRow {
  readonly what: string;
  readonly isVital: boolean;
}

/** What a policy may need to choose well. `GET /policies` and the metrics use these names. */
export const SIGNALS = {
  routing_key: { what: "a session, user or routing key of the request", isVital: true },
  prompt: { what: "a prompt in the request", isVital: true },
  first_token: { what: "streams, which show when the first token comes", isVital: false },
  kv_capacity: {
    what: "the size of the worker's KV cache, by its own report or `kv_capacity_tokens`",
    isVital: false,
  },
  cached_tokens: { what: "the number of cached tokens in the usage of answers", isVital: false },
} as const satisfies Record<string, SignalRow>;

export type Signal = keyof typeof SIGNALS;

/** The signals that a policy uses, each with what the policy does without it: a sentence that continues the policy's name. */
export type UsedSignals = Readonly<Partial<Record<Signal, string>>>;

/** A signal has begun to be missing, or is there again. */
export interface SignalNews {
  readonly signal: Signal;
  readonly isMissing: boolean;
  /** Share of the last requests without it, 0 to 1. */
  readonly share: number;
}

/** How it stands with a signal. */
export interface SignalState {
  readonly signal: Signal;
  /** Requests that were counted, and those of them without the signal, since the beginning. */
  readonly requests: number;
  readonly without: number;
  readonly isMissing: boolean;
}

/** A signal of a policy, for `GET /policies`. */
export interface DescribedSignal {
  readonly signal: Signal;
  /** What the signal is. */
  readonly needs: string;
  readonly requests: number;
  readonly without: number;
  /** Whether most of the last requests lacked it. */
  readonly missing: boolean;
  /** What the policy does without it, as words that continue its name. */
  readonly instead: string;
}

/** With this share of requests without it a signal counts as missing, and with this one it is there again. */
const MISSING_FROM = 0.5;
const THERE_FROM = 0.25;
/** Least number of requests that are judged, and the time between two judgements, ms. */
const LEAST_REQUESTS = 20;
const JUDGE_EACH_MS = 30_000;
/** A thread looks whether it is time at one request in this many. */
const LOOK_EACH = 16;

/** Cells of a signal: requests, those without it, both at the last judgement, and whether it is missing. */
const CELLS = 5;
const WITHOUT = 1;
const JUDGED = 2;
const JUDGED_WITHOUT = 3;
const MISSING = 4;

/** First cell of each signal. */
const PLACES: Readonly<Record<Signal, number>> = {
  routing_key: 0,
  prompt: CELLS,
  first_token: 2 * CELLS,
  kv_capacity: 3 * CELLS,
  cached_tokens: 4 * CELLS,
};
const NAMES = keysOf(PLACES);

export interface SignalCountsParts extends Pick<PolicyParts, "memory" | "now" | "threads"> {
  readonly tell: (news: SignalNews) => void;
}

/**
 * Counts how often a policy has to do without its signals, and tells when one begins to be missing and when it is there again. The same
 * for all policies: a policy only declares what it uses. The threads count in one memory; one of them tells each news.
 */
export class SignalCounts {
  readonly #used: UsedSignals;
  /** The time of the last judgement, in halves of seconds, and the cells of the signals. */
  readonly #judgedAt: Int32Array;
  readonly #cells: Int32Array;
  readonly #now: () => number;
  readonly #isShared: boolean;
  readonly #tell: (news: SignalNews) => void;
  #picks = 0;

  constructor(used: UsedSignals, { memory, now, threads, tell }: SignalCountsParts) {
    const cells = new Int32Array(memory((1 + NAMES.length * CELLS) * Int32Array.BYTES_PER_ELEMENT));
    this.#used = used;
    this.#judgedAt = cells.subarray(0, 1);
    this.#cells = cells.subarray(1);
    this.#now = now;
    this.#isShared = threads > 1;
    this.#tell = tell;
  }

  /** The policy has chosen this candidate for this request. */
  onPick(request: RequestFeatures, chosen: Candidate): void {
    const used = this.#used;
    if (used.routing_key !== undefined) this.#note("routing_key", request.routingKey() !== undefined);
    if (used.prompt !== undefined) this.#note("prompt", request.hasPrompt());
    if (used.first_token !== undefined) this.#note("first_token", request.isStream || chosen.role === "prefill");
    if (used.kv_capacity !== undefined) this.#note("kv_capacity", chosen.kvCapacityTokens !== undefined);
    this.#picks += 1;
    if (this.#picks % LOOK_EACH === 0) this.#look();
  }

  /** A request of the policy was answered, with this usage. */
  onAnswer(usage: PickUsage | undefined): void {
    if (this.#used.cached_tokens !== undefined) this.#note("cached_tokens", usage?.cachedTokens !== undefined);
  }

  /** The signals that the policy uses. */
  states(): SignalState[] {
    return NAMES.flatMap((signal) => {
      if (this.#used[signal] === undefined) return [];
      const at = PLACES[signal];
      return {
        signal,
        requests: Atomics.load(this.#cells, at) >>> 0,
        without: Atomics.load(this.#cells, at + WITHOUT) >>> 0,
        isMissing: Atomics.load(this.#cells, at + MISSING) === 1,
      };
    });
  }

  describe(): DescribedSignal[] {
    return this.states().map(({ signal, requests, without, isMissing }) => ({
      signal,
      needs: SIGNALS[signal].what,
      requests,
      without,
      missing: isMissing,
      instead: this.#used[signal] ?? "",
    }));
  }

  #note(signal: Signal, isThere: boolean): void {
    const at = PLACES[signal];
    this.#count(at);
    if (!isThere) this.#count(at + WITHOUT);
  }

  /** A thread that is alone needs no atomics, which take longer than all else here. */
  #count(cell: number): void {
    if (this.#isShared) Atomics.add(this.#cells, cell, 1);
    else this.#cells[cell] = ((this.#cells[cell] ?? 0) + 1) | 0;
  }

  #look(): void {
    const now = Math.floor(this.#now() / 500) | 0;
    const before = Atomics.load(this.#judgedAt, 0);
    if (before !== 0 && ((now - before) | 0) * 500 < JUDGE_EACH_MS) return;
    // The first requests are judged as soon as there are enough.
    const hasSome = before !== 0 || NAMES.some((signal) => Atomics.load(this.#cells, PLACES[signal]) >= LEAST_REQUESTS);
    if (hasSome && Atomics.compareExchange(this.#judgedAt, 0, before, now || 1) === before) {
      for (const signal of NAMES) this.#judge(signal, PLACES[signal]);
    }
  }

  #judge(signal: Signal, at: number): void {
    const cells = this.#cells;
    const [requests, without] = [Atomics.load(cells, at), Atomics.load(cells, at + WITHOUT)];
    const recent = (requests - Atomics.load(cells, at + JUDGED)) | 0;
    if (recent < LEAST_REQUESTS) return;
    const share = ((without - Atomics.load(cells, at + JUDGED_WITHOUT)) | 0) / recent;
    Atomics.store(cells, at + JUDGED, requests);
    Atomics.store(cells, at + JUDGED_WITHOUT, without);
    const wasMissing = Atomics.load(cells, at + MISSING) === 1;
    const isMissing = wasMissing ? share > THERE_FROM : share >= MISSING_FROM;
    if (isMissing === wasMissing) return;
    Atomics.store(cells, at + MISSING, isMissing ? 1 : 0);
    this.#tell({ signal, isMissing, share });
  }
}
