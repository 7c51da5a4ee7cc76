import { CandidatePlaces } from "./candidate-places.ts";
import { DrainRates } from "./drain-rates.ts";
import { LeastLoaded } from "./least-loaded.ts";
import type { Candidate, PolicyParts, RequestFeatures } from "./policy.ts";
import { type SessionOutcome, SessionTable, type SessionTableOptions } from "./session-table.ts";

export interface SessionAffinityOptions extends SessionTableOptions {
  /** A session leaves its worker where staying costs so many seconds more than leaving, s. */
  readonly overrideSecs: number;
}

/**
 * Keeps each session on its worker while that pays, in front of any policy: the policy chooses among all candidates for a new session, and
 * gets only the session's worker for one that stays. Staying costs the wait at the worker; the prompt's beginning is in its cache.
 * Leaving costs the wait at the worker with the shortest one, and to prefill the whole prompt there. Both are estimates by the tokens
 * that are pending, and by the workers' rates as first tokens show them. Among decode workers nothing waits to be prefilled, so a session stays.
 */
export class SessionAffinity {
  readonly table: SessionTable;
  readonly rates = new DrainRates();
  readonly #overrideSecs: number;
  readonly #now: PolicyParts["now"];
  readonly #shortestWait: LeastLoaded;
  readonly #places = new CandidatePlaces();
  /** What becomes of the session of the current request, if its worker gets it; undefined where the request has no key. */
  #outcome: Exclude<SessionOutcome, "finished"> | undefined;
  /** The worker with which it stays, where the outcome is `kept`. */
  #own = -1;

  constructor(
    options: SessionAffinityOptions,
    { memory, random, now }: Pick<PolicyParts, "memory" | "random" | "now">,
  ) {
    this.table = new SessionTable(options, memory);
    this.#overrideSecs = options.overrideSecs;
    this.#now = now;
    this.#shortestWait = new LeastLoaded(random, (candidate) => this.#waitSecs(candidate));
  }

  /** Index of the worker with which the request's session stays; -1 where the policy chooses among all. `chosen` says whom. */
  stayAt(candidates: readonly Candidate[], request: RequestFeatures): number {
    this.#outcome = undefined;
    const key = request.routingKey();
    if (key === undefined) return -1;
    const now = this.#now();
    const slot = this.table.find(key, now);
    const place = slot < 0 ? -1 : (this.#places.of(candidates)[slot] ?? -1);
    const own = candidates[place];
    if (own && !this.#pays(own, candidates, request)) {
      this.#outcome = "kept";
      this.#own = slot;
      return place;
    }
    if (slot < 0) this.#outcome = "new";
    else this.#outcome = own ? "moved" : "lost";
    return -1;
  }

  /** Slot of the worker that the request's session has; -1 where there is none. */
  homeOf(request: RequestFeatures): number {
    const key = request.routingKey();
    return key === undefined ? -1 : this.table.find(key, this.#now());
  }

  /** This worker was chosen for the request of the last `stayAt`. */
  chosen(slot: number): void {
    const outcome = this.#outcome;
    if (outcome === undefined) return;
    this.#outcome = undefined;
    if (outcome === "kept" && slot === this.#own) return this.table.keep(this.#now());
    this.table.assign(slot, this.#now());
    // Of a pair, the other worker may not fit the session's.
    this.table.note(outcome === "kept" ? "lost" : outcome);
  }

  forget(slot: number): void {
    this.table.forget(slot);
    this.rates.forget(slot);
  }

  /** Whether it pays to leave the session's worker. */
  #pays(own: Candidate, candidates: readonly Candidate[], { promptTokens }: RequestFeatures): boolean {
    const staying = this.#waitSecs(own);
    // Nearly always: no other worker has to be looked at.
    if (staying <= this.#overrideSecs) return false;
    const other = candidates[this.#shortestWait.find(candidates)];
    if (!other || other === own) return false;
    const leaving = this.rates.secsFor(other.slot, other.pendingPromptTokens + promptTokens);
    return staying > leaving + this.#overrideSecs;
  }

  #waitSecs({ slot, pendingPromptTokens }: Candidate): number {
    return this.rates.secsFor(slot, pendingPromptTokens);
  }
}
