import type { Decision } from "../observability/decision.ts";
import type { RequestRecord, TokenCounts } from "../observability/request-record.ts";
import type { PickReason } from "../policy/pick-reasons.ts";
import type { Clock } from "../util/clock.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { Chosen } from "./chosen.ts";

/** The parts of a request's record that the log keeps. */
export type LoggedRequest = Pick<RequestRecord, "requestId" | "endpoint" | "model" | "isStream" | "attempts">;

/** One worker that was chosen for a request, as plain data. Times are ms; what is not known is undefined. */
export interface LoggedLeg {
  readonly role: WorkerType;
  readonly policy: string;
  /** Address of the worker. */
  readonly worker: string;
  readonly reason: PickReason;
  /** How many workers it was chosen from. */
  readonly candidates: number;
  readonly chargeTokens: number | undefined;
  readonly predictedTtftMs: number | undefined;
  /** From the send to the first token: of streams, and of prefill workers. */
  readonly ttftMs: number | undefined;
  readonly predictedCachedTokens: number | undefined;
  readonly cachedTokens: number | undefined;
  readonly promptTokens: number | undefined;
  /** `running`, `ok`, `abandoned`, or a code of the errors table. */
  readonly outcome: string;
  /** From the send to the end. */
  readonly durationMs: number | undefined;
  /** The explained choice, where the request was to be explained. */
  readonly decision: Decision | undefined;
}

/** One try of a request: the worker or the pair that was chosen. */
export interface LoggedTry {
  /** When the workers were chosen, ms since 1970. */
  readonly at: number;
  readonly requestId: string;
  readonly endpoint: string;
  readonly model: string;
  readonly isStream: boolean;
  /** 1 for the first try of the request. */
  readonly attempt: number;
  /** Prefill before decode. */
  readonly legs: readonly LoggedLeg[];
}

/** Which tries somebody wants to see; undefined: any. */
export interface DecisionQuery {
  readonly requestId: string | undefined;
  readonly model: string | undefined;
  /** Address of a worker that was chosen. */
  readonly worker: string | undefined;
  /** Most tries of the answer, the newest first. */
  readonly limit: number;
}

/** The answer to a query, of all threads. */
export interface FoundDecisions {
  readonly tries: readonly LoggedTry[];
  /** Numbers of threads that did not answer in time: their tries are not among these. */
  readonly silentThreads: readonly number[];
}

/** Longest name of a model that is kept, characters. */
const MAX_NAME_CHARS = 256;

/** What is known of one choice. Written again for each request, so that keeping it allocates nothing. Unknown numbers are NaN. */
class Entry {
  /** Number of the choice that stands here; -1 before the first. */
  ticket = -1;
  at = 0;
  requestId = "";
  endpoint = "";
  model = "";
  isStream = false;
  attempt = 0;
  decision: Decision | undefined;
  role: WorkerType = "regular";
  policy = "";
  worker = "";
  reason: PickReason = "unsaid";
  candidates = 0;
  chargeTokens = Number.NaN;
  predictedTtftMs = Number.NaN;
  ttftMs = Number.NaN;
  predictedCachedTokens = Number.NaN;
  cachedTokens = Number.NaN;
  promptTokens = Number.NaN;
  outcome = "";
  durationMs = Number.NaN;
}

/**
 * The last choices of one thread: which worker each request went to and why, what was expected of it, and what came. It is a ring of
 * fixed size; the newest choice takes the place of the oldest. It has nothing of prompts, answers or keys.
 */
export class DecisionLog {
  readonly #clock: Clock;
  readonly #wallNow: () => number;
  readonly #entries: readonly Entry[];
  #next = 0;

  /** `size`: choices that it keeps, at least 1. `wallNow`: ms since 1970. */
  constructor(size: number, clock: Clock, wallNow: () => number = Date.now) {
    this.#clock = clock;
    this.#wallNow = wallNow;
    this.#entries = Array.from({ length: size }, () => new Entry());
  }

  /** Notes a choice at the time of the send. Returns its ticket, with which the rest is told. */
  begin({ worker, pick, policy, reason, candidates, decision }: Chosen, request: LoggedRequest, now: number): number {
    const ticket = this.#next;
    this.#next += 1;
    const entry = this.#entries[ticket % this.#entries.length];
    if (!entry) return ticket;
    entry.ticket = ticket;
    entry.at = now;
    entry.requestId = request.requestId;
    entry.endpoint = request.endpoint;
    entry.model = shortName(request.model);
    entry.isStream = request.isStream;
    entry.attempt = request.attempts;
    entry.role = worker.spec.workerType;
    entry.policy = policy;
    entry.worker = worker.url;
    entry.reason = reason;
    entry.candidates = candidates;
    entry.decision = decision;
    entry.chargeTokens = pick?.chargeTokens ?? Number.NaN;
    entry.predictedTtftMs = pick?.predictedTtftMs ?? decision?.predictedTtftMs ?? Number.NaN;
    entry.predictedCachedTokens = pick?.predictedCachedTokens ?? decision?.predictedCachedTokens ?? Number.NaN;
    entry.ttftMs = Number.NaN;
    entry.cachedTokens = Number.NaN;
    entry.promptTokens = Number.NaN;
    entry.durationMs = Number.NaN;
    entry.outcome = "running";
    return ticket;
  }

  /** The first token came so many ms after the send. */
  firstToken(ticket: number, ms: number): void {
    const entry = this.#entryOf(ticket);
    if (entry) entry.ttftMs = ms;
  }

  /** The attempt ended: `ok`, `abandoned`, or a code of the errors table. */
  end(ticket: number, outcome: string, ms: number, tokens: TokenCounts | undefined): void {
    const entry = this.#entryOf(ticket);
    if (!entry) return;
    entry.outcome = outcome;
    entry.durationMs = ms;
    entry.promptTokens = tokens?.promptTokens ?? Number.NaN;
    entry.cachedTokens = tokens?.cachedTokens ?? Number.NaN;
  }

  /** The tries that the query asks for, the newest first. */
  find(query: DecisionQuery): LoggedTry[] {
    const found: LoggedTry[] = [];
    const oldest = Math.max(0, this.#next - this.#entries.length);
    for (let ticket = this.#next - 1; ticket >= oldest && found.length < query.limit; ticket -= 1) {
      const last = this.#entryOf(ticket);
      if (!last) continue;
      const before = last.role === "decode" ? this.#prefillBefore(last) : undefined;
      if (before) ticket -= 1;
      const one = this.#tryOf(before ? [before, last] : [last], last);
      if (isAskedFor(one, query)) found.push(one);
    }
    return found;
  }

  /** The entry of the choice; undefined where a later one has taken its place. */
  #entryOf(ticket: number): Entry | undefined {
    const entry = this.#entries[ticket % this.#entries.length];
    return entry?.ticket === ticket ? entry : undefined;
  }

  /** The prefill worker of the same try: its choice is noted right before that of the decode worker. */
  #prefillBefore({ ticket, requestId, attempt }: Entry): Entry | undefined {
    const before = ticket > 0 ? this.#entryOf(ticket - 1) : undefined;
    const isOfTry = before?.role === "prefill" && before.requestId === requestId && before.attempt === attempt;
    return isOfTry ? before : undefined;
  }

  #tryOf(entries: readonly Entry[], { at, requestId, endpoint, model, isStream, attempt }: Entry): LoggedTry {
    // The clock does not jump, and the wall clock is read where somebody asks, not for each request.
    const wallAt = Math.round(this.#wallNow() - (this.#clock.now() - at));
    return { at: wallAt, requestId, endpoint, model, isStream, attempt, legs: entries.map(legOf) };
  }
}

function legOf(entry: Entry): LoggedLeg {
  return {
    role: entry.role,
    policy: entry.policy,
    worker: entry.worker,
    reason: entry.reason,
    candidates: entry.candidates,
    chargeTokens: known(entry.chargeTokens),
    predictedTtftMs: known(entry.predictedTtftMs),
    ttftMs: known(entry.ttftMs),
    predictedCachedTokens: known(entry.predictedCachedTokens),
    cachedTokens: known(entry.cachedTokens),
    promptTokens: known(entry.promptTokens),
    outcome: entry.outcome,
    durationMs: known(entry.durationMs),
    decision: entry.decision,
  };
}

function known(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value;
}

function isAskedFor({ requestId, model, legs }: LoggedTry, query: DecisionQuery): boolean {
  return (
    (query.requestId === undefined || query.requestId === requestId) &&
    (query.model === undefined || query.model === model) &&
    (query.worker === undefined || legs.some(({ worker }) => worker === query.worker))
  );
}

/** A client may send any name. The part of a long one is copied: it would keep the whole name in memory. */
function shortName(name = ""): string {
  return name.length <= MAX_NAME_CHARS ? name : Buffer.from(name.slice(0, MAX_NAME_CHARS)).toString();
}
