import { GatewayError } from "../errors/errors.ts";
import type { LimitState, LimitStates } from "../protocol/limit-headers.ts";
import type { Clock } from "../util/clock.ts";
import { HEADER, type KeyMemory, ROW, ROW_BYTES } from "./key-memory.ts";
import type { Limits, Principal } from "./principal.ts";
import { fullInMs, remaining, settle, take, waitMs } from "./token-bucket.ts";

/** One number of 64 bits, as the float and as the integer of the same bits. */
const FLOAT = new Float64Array(1);
const BITS = new BigInt64Array(FLOAT.buffer);

/**
 * Counts requests against the limits of their callers. The counts are in the key table's memory, so a limit holds over all threads without a
 * message. Each thread has one, with its own row of requests in flight, so that what a thread held can be given back when it dies.
 */
export class KeyLimits {
  readonly #memory: KeyMemory;
  readonly #running: Int32Array;
  /** Several threads change the buckets: with atomics, which only integers have. One thread does it with plain arithmetic. */
  readonly #isShared: boolean;
  readonly #clock: Clock;
  /** The table's clock is the control thread's; what is to be added to this thread's own clock, ms. */
  readonly #behindMs: number;

  /** `behindMs`: see `behindControl`. */
  constructor(memory: KeyMemory, thread: number, clock: Clock, behindMs = 0) {
    this.#memory = memory;
    this.#running = memory.runningOf(thread);
    this.#isShared = (memory.header[HEADER.threads] ?? 1) > 1;
    this.#clock = clock;
    this.#behindMs = behindMs;
  }

  /** The time of the table's clock, ms. */
  now(): number {
    return this.#clock.now() + this.#behindMs;
  }

  /** The time that somebody on this thread asked for last, as each step of a request does: a look at the clock less, for the limits of a minute. */
  recent(): number {
    return this.#clock.recent() + this.#behindMs;
  }

  /** Counts a request at `now`. Throws rate_limit_exceeded; then nothing is counted. */
  enter(principal: Principal, limits: Limits, now = this.now()): void {
    const { requestsPerMinute, maxConcurrent } = limits;
    if (maxConcurrent !== Number.POSITIVE_INFINITY) this.#start(principal, maxConcurrent);
    const wait = this.#take(principal.row, ROW.requestsFullAt, 1, requestsPerMinute, now);
    if (wait === 0) return;
    this.leave(principal, limits);
    throw limited(`no more than ${requestsPerMinute} requests a minute ${byWhom(principal)}`, wait);
  }

  /** Throws what `enter` would throw now, and counts nothing. */
  check(principal: Principal, { requestsPerMinute, maxConcurrent }: Limits): void {
    const { row } = principal;
    if (this.#runningAt(row) >= maxConcurrent) throw tooMany(principal, maxConcurrent);
    if (requestsPerMinute === Number.POSITIVE_INFINITY) return;
    const wait = waitMs(this.#fullAt(row, ROW.requestsFullAt), this.now(), 1, requestsPerMinute);
    if (wait > 0) throw limited(`no more than ${requestsPerMinute} requests a minute ${byWhom(principal)}`, wait);
  }

  /** Takes, at `now`, the tokens that a request is expected to need. Throws rate_limit_exceeded, request_over_limit; then nothing is taken. */
  reserve(principal: Principal, { tokensPerMinute }: Limits, tokens: number, now = this.now()): void {
    if (tokensPerMinute === Number.POSITIVE_INFINITY) return;
    const isOver = tokens > tokensPerMinute;
    const wait = isOver ? 0 : this.#take(principal.row, ROW.tokensFullAt, tokens, tokensPerMinute, now);
    if (!isOver && wait === 0) return;
    const told = `no more than ${tokensPerMinute} tokens a minute ${byWhom(principal)}, and this request may need ${tokens}`;
    throw isOver ? new GatewayError("request_over_limit", told) : limited(told, wait);
  }

  /** Gives the request back that `enter` counted, because it was refused before any work was done for it. */
  takeBack({ row }: Principal, { requestsPerMinute }: Limits): void {
    if (requestsPerMinute !== Number.POSITIVE_INFINITY) this.#settle(row, ROW.requestsFullAt, -1, requestsPerMinute);
  }

  /** Corrects what `reserve` took by `more` tokens, which is negative where the request needed less. */
  correct({ row }: Principal, { tokensPerMinute }: Limits, more: number): void {
    if (tokensPerMinute !== Number.POSITIVE_INFINITY && more !== 0)
      this.#settle(row, ROW.tokensFullAt, more, tokensPerMinute);
  }

  /** A request that `enter` counted is over. */
  leave({ row }: Principal, { maxConcurrent }: Limits): void {
    if (maxConcurrent === Number.POSITIVE_INFINITY) return;
    Atomics.sub(this.#memory.ints, runningCell(row), 1);
    Atomics.sub(this.#running, row, 1);
  }

  states({ row }: Principal, { requestsPerMinute, tokensPerMinute }: Limits): LimitStates {
    const now = this.recent();
    return {
      requests: this.#state(row, ROW.requestsFullAt, requestsPerMinute, now),
      tokens: this.#state(row, ROW.tokensFullAt, tokensPerMinute, now),
    };
  }

  #state(row: number, offset: number, perMinute: number, now: number): LimitState | undefined {
    if (perMinute === Number.POSITIVE_INFINITY) return undefined;
    const fullAt = this.#fullAt(row, offset);
    return { limit: perMinute, remaining: remaining(fullAt, now, perMinute), resetMs: fullInMs(fullAt, now) };
  }

  #start(principal: Principal, most: number): void {
    const { row } = principal;
    const { ints } = this.#memory;
    const cell = runningCell(row);
    for (;;) {
      const running = Atomics.load(ints, cell);
      if (running >= most) throw tooMany(principal, most);
      // The thread's own count first: if the thread dies in between, the limit lets one more through, and not one less for ever.
      Atomics.add(this.#running, row, 1);
      if (Atomics.compareExchange(ints, cell, running, running + 1) === running) return;
      Atomics.sub(this.#running, row, 1);
    }
  }

  /** Takes `cost` of a bucket. Returns 0, or the time until the bucket has so much, ms; then nothing is taken. */
  #take(row: number, offset: number, cost: number, perMinute: number, now: number): number {
    if (perMinute === Number.POSITIVE_INFINITY) return 0;
    const { bits, floats } = this.#memory;
    const cell = (row * ROW_BYTES + offset) / 8;
    if (!this.#isShared) {
      const fullAt = floats[cell] ?? 0;
      const next = take(fullAt, now, cost, perMinute);
      if (next === undefined) return waitMs(fullAt, now, cost, perMinute);
      floats[cell] = next;
      return 0;
    }
    for (;;) {
      const before = Atomics.load(bits, cell);
      const fullAt = asFloat(before);
      const next = take(fullAt, now, cost, perMinute);
      if (next === undefined) return waitMs(fullAt, now, cost, perMinute);
      if (Atomics.compareExchange(bits, cell, before, asBits(next)) === before) return 0;
    }
  }

  #settle(row: number, offset: number, more: number, perMinute: number): void {
    const { bits, floats } = this.#memory;
    const cell = (row * ROW_BYTES + offset) / 8;
    // What is given back is given back whatever the time.
    const now = more > 0 ? this.now() : 0;
    if (!this.#isShared) {
      floats[cell] = settle(floats[cell] ?? 0, now, more, perMinute);
      return;
    }
    for (;;) {
      const before = Atomics.load(bits, cell);
      const next = asBits(settle(asFloat(before), now, more, perMinute));
      if (Atomics.compareExchange(bits, cell, before, next) === before) return;
    }
  }

  #fullAt(row: number, offset: number): number {
    const cell = (row * ROW_BYTES + offset) / 8;
    return this.#isShared ? asFloat(Atomics.load(this.#memory.bits, cell)) : (this.#memory.floats[cell] ?? 0);
  }

  #runningAt(row: number): number {
    return Atomics.load(this.#memory.ints, runningCell(row));
  }
}

/** Gives back the requests in flight that a thread held when it died. */
export function releaseThreadRequests(memory: KeyMemory, thread: number): void {
  for (const [row, held] of memory.runningOf(thread).entries()) {
    if (held === 0) continue;
    Atomics.sub(memory.ints, runningCell(row), held);
    Atomics.store(memory.runningOf(thread), row, 0);
  }
}

/** Whether a caller has no request in flight and has used nothing of its limits at `now`, on the table's clock, ms. */
export function isIdle({ ints, bits }: KeyMemory, row: number, now: number): boolean {
  const base = row * ROW_BYTES;
  const isFull = (offset: number): boolean => asFloat(Atomics.load(bits, (base + offset) / 8)) <= now;
  return Atomics.load(ints, runningCell(row)) === 0 && isFull(ROW.requestsFullAt) && isFull(ROW.tokensFullAt);
}

/** Writes down what the control thread's clock says now. Called right before a thread starts, as the wall clock may have been set since. */
export function noteControlClock({ origin }: KeyMemory, clock: Clock, wallNow: () => number = Date.now): void {
  origin[0] = wallNow() - clock.now();
}

/** How far the clock of this thread, which has just started, is behind the control thread's, ms. */
export function behindControl({ origin }: KeyMemory, clock: Clock, wallNow: () => number = Date.now): number {
  return wallNow() - (origin[0] ?? 0) - clock.now();
}

function runningCell(row: number): number {
  return (row * ROW_BYTES + ROW.running) / 4;
}

function asFloat(bits: bigint): number {
  BITS[0] = bits;
  return FLOAT[0] ?? 0;
}

function asBits(value: number): bigint {
  FLOAT[0] = value;
  return BITS[0] ?? 0n;
}

function byWhom({ isBearer }: Principal): string {
  return isBearer ? "by the bearer of this token" : "with this key";
}

function tooMany(principal: Principal, most: number): GatewayError {
  return limited(`no more than ${most} requests at once ${byWhom(principal)}`, 1000);
}

function limited(message: string, waitedMs: number): GatewayError {
  const retryAfterSecs = Math.max(1, Math.ceil(waitedMs / 1000));
  return new GatewayError("rate_limit_exceeded", `${message}; try again in ${retryAfterSecs} s`, { retryAfterSecs });
}
