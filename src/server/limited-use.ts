import type { KeyLimits } from "../keys/limits.ts";
import type { Limits, Principal } from "../keys/principal.ts";
import type { RequestRecord } from "../observability/request-record.ts";
import { askedTokens } from "../protocol/asked-tokens.ts";
import type { Dialect } from "../protocol/dialect.ts";
import type { InferenceRequest } from "../router/router.ts";

/** Statuses with which the gateway refuses a request for its own reasons: it does not count then. */
const OWN_REFUSALS = new Set([429, 503, 529]);

/**
 * One request of a caller with limits. It is counted when its body is there; its tokens are taken when the body is read, and settled when it
 * is over: exactly once, because a record is settled once.
 */
export class LimitedUse {
  readonly #keys: KeyLimits;
  readonly #principal: Principal;
  readonly #limits: Limits;
  /** When the request was counted, on the clock of the limits. Its tokens are taken as of then, for a clock is dear. */
  #enteredAt = 0;
  #reserved = 0;
  #promptTokens = 0;

  constructor(keys: KeyLimits, principal: Principal, limits: Limits) {
    this.#keys = keys;
    this.#principal = principal;
    this.#limits = limits;
  }

  /** Throws what `enter` would throw now. */
  foresee(): void {
    this.#keys.check(this.#principal, this.#limits);
  }

  /** Counts the request. Throws rate_limit_exceeded. */
  enter(record: RequestRecord): void {
    this.#enteredAt = this.#keys.recent();
    this.#keys.enter(this.#principal, this.#limits, this.#enteredAt);
    record.onSettled(() => this.#settle(record));
  }

  /** Takes the tokens that the request is expected to need. Throws rate_limit_exceeded, request_over_limit. */
  reserve({ endpoint, body, features }: InferenceRequest): void {
    if (this.#limits.tokensPerMinute === Number.POSITIVE_INFINITY) return;
    this.#promptTokens = features.promptTokens;
    const answers = endpoint.work === "generate" ? askedTokens(body) * endpoint.sequences(body) : 0;
    const tokens = this.#promptTokens + answers;
    this.#keys.reserve(this.#principal, this.#limits, tokens, this.#enteredAt);
    this.#reserved = tokens;
  }

  /** What is left of the limits, as header lines. */
  linesIn(dialect: Dialect): string {
    return dialect.limitLines(this.#keys.states(this.#principal, this.#limits));
  }

  #settle(record: RequestRecord): void {
    this.#keys.leave(this.#principal, this.#limits);
    if (record.attempts === 0 && OWN_REFUSALS.has(record.status)) this.#keys.takeBack(this.#principal, this.#limits);
    if (this.#reserved > 0) this.#keys.correct(this.#principal, this.#limits, this.#spent(record) - this.#reserved);
  }

  /** What the worker counted. Where it said nothing: what is known of the prompt and of the events that came. */
  #spent({ attempts, tokens, status, errorCode, isStream, events }: RequestRecord): number {
    if (tokens?.promptTokens !== undefined || tokens?.completionTokens !== undefined)
      return (tokens.promptTokens ?? this.#promptTokens) + (tokens.completionTokens ?? events);
    if (attempts === 0) return 0;
    if (isStream) return events > 0 || errorCode === undefined ? this.#promptTokens + events : this.#ofFailed(status);
    return errorCode === undefined ? this.#reserved : this.#ofFailed(status);
  }

  /** A worker that failed has done nothing; one whose client left has at least read the prompt. */
  #ofFailed(status: number): number {
    return status === CLIENT_LEFT ? this.#promptTokens : 0;
  }
}

const CLIENT_LEFT = 499;
