import { BlockPool } from "./block-pool.ts";
import type { EngineModel } from "./engine-models.ts";
import { EngineScheduler } from "./engine-scheduler.ts";
import { type EngineRequest, Sequence } from "./engine-sequence.ts";
import { EngineStep, type StepTimes } from "./engine-step.ts";

/** What an engine reports. Times are those of the step that gave the token. */
export interface EngineEvents {
  onFirstToken(sequence: Sequence, at: number): void;
  /** The last token has been given; the sequence has left. */
  onDone(sequence: Sequence, at: number): void;
  /** A token after the first one. Without this method the engine skips over steps in which nothing else happens. */
  onToken?(sequence: Sequence, at: number): void;
}

/** A request and when an engine gets it, ms. */
export interface SentRequest {
  readonly request: EngineRequest;
  readonly at: number;
}

/** Makes an engine: its model, what its cache holds, and its pace. */
export interface EngineOptions {
  readonly model: EngineModel;
  readonly kvTokens: number;
  /** Steps take this many times as long as the model says. */
  readonly slowness: number;
}

/**
 * An engine with continuous batching in virtual time: a queue, the sequences that run, and a step in progress. It has no clock:
 * `nextAt` says when its step ends, and whoever owns it calls `advance` then.
 *
 * ```
 *   submit --> waiting -- blocks and budget --> running: prefill -- first token --> decode -- last token --> gone
 *                 ^                                |                                  |
 *                 +---------- preempted: no block left for an older sequence ---------+
 * ```
 */
export class SimEngine {
  readonly #model: EngineModel;
  readonly #events: EngineEvents;
  readonly #pool: BlockPool;
  readonly #scheduler: EngineScheduler;
  #slowness: number;
  #waiting: Sequence[] = [];
  #running: Sequence[] = [];
  /** The steps in progress; undefined while it is idle. */
  #step: EngineStep | undefined;
  /** The last step that gave a token, before those in progress. */
  #lastGiving: StepTimes | undefined;
  #isAdvancing = false;
  #frozenUntil = 0;

  constructor({ model, kvTokens, slowness }: EngineOptions, events: EngineEvents, pool?: BlockPool) {
    this.#model = model;
    this.#events = events;
    this.#slowness = slowness;
    this.#pool = pool ?? new BlockPool(Math.max(1, Math.floor(kvTokens / model.blockTokens)));
    this.#scheduler = new EngineScheduler(model, this.#pool);
  }

  /** When the step in progress ends, ms; Infinity while it is idle. */
  get nextAt(): number {
    return this.#step?.endAt ?? Number.POSITIVE_INFINITY;
  }

  get running(): readonly Sequence[] {
    return this.#running;
  }

  get waiting(): readonly Sequence[] {
    return this.#waiting;
  }

  /** The last step, up to `now`, at the end of which it gave tokens; undefined where it has given none. */
  lastGiving(now: number): StepTimes | undefined {
    return this.#step?.lastOver(now) ?? this.#lastGiving;
  }

  /** Preemptions so far. */
  get preemptions(): number {
    return this.#scheduler.preemptions;
  }

  /** Share of the KV cache that running sequences use, 0 to 1. */
  get kvUsed(): number {
    return this.#pool.used / this.#pool.capacity;
  }

  /** Tokens that are cached and can be found. */
  get cachedTokens(): number {
    return this.#pool.cached * this.#model.blockTokens;
  }

  /** Prompt tokens that it has yet to prefill, as far as it knows: those of waiting requests count in full. */
  get pendingTokens(): number {
    let pending = 0;
    for (const { rest } of this.#waiting) pending += rest;
    for (const one of this.#running) if (!one.isDecoding) pending += one.rest;
    return pending;
  }

  /** Tokens of a request's prompt that are in the cache now. */
  hitTokens(request: EngineRequest): number {
    return this.#scheduler.cache.hitTokens(request);
  }

  /**
   * Whether the request and its answer fit into the cache when it runs alone, in whole blocks. The last token of an answer is never
   * computed. One that does not fit must not be submitted: it would preempt itself and wait for ever. Where the memory bounds only what
   * is cached, all fit.
   */
  fits({ promptTokens, outputTokens }: EngineRequest): boolean {
    const blocks = Math.ceil((promptTokens + outputTokens - 1) / this.#model.blockTokens);
    return this.#model.memory === "cache_only" || blocks <= this.#pool.capacity;
  }

  /** Adds a request, which waits for the end of the step in progress. `tag` comes back with its events. */
  submit(now: number, request: EngineRequest, tag: number): Sequence {
    const sequence = new Sequence(request, tag);
    this.#waiting.push(sequence);
    this.#interrupt(now);
    return sequence;
  }

  /** Takes a request out. One that runs leaves at the end of the step in progress; nothing more is reported of it. */
  abort(now: number, sequence: Sequence): void {
    const at = this.#waiting.indexOf(sequence);
    if (at >= 0) this.#waiting.splice(at, 1);
    else if (this.#running.includes(sequence)) sequence.isAborted = true;
    this.#interrupt(now);
  }

  /** Steps take this many times as long as the model says from the next one on. */
  slow(now: number, slowness: number): void {
    this.#slowness = slowness;
    this.#interrupt(now);
  }

  /** Does nothing for so long. A step in progress ends that much later. */
  freeze(now: number, ms: number): void {
    this.#interrupt(now);
    this.#step?.delay(ms);
    this.#frozenUntil = Math.max(this.#frozenUntil, now + ms);
  }

  /** Loses all requests and the cache. Returns the requests that were lost; nothing is reported of them. */
  restart(): readonly Sequence[] {
    const lost = [...this.#running, ...this.#waiting];
    for (const sequence of this.#running) this.#scheduler.cache.release(sequence);
    this.#pool.clear();
    this.#running = [];
    this.#waiting = [];
    this.#step = undefined;
    return lost;
  }

  /** Ends the step in progress, reports its tokens, and begins the next one. Call it at `nextAt`. */
  advance(): void {
    const step = this.#step;
    if (!step) return;
    this.#step = undefined;
    // Those who hear of a token may submit and abort at once.
    this.#isAdvancing = true;
    this.#finish(step);
    this.#isAdvancing = false;
    this.#begin(step.endAt);
  }

  /** Carries out what has ended by `at`. */
  advanceTo(at: number): void {
    while (this.nextAt <= at) this.advance();
  }

  /**
   * When this request would get its first token if it came now and nothing after it, ms from now. Exact: the engine is run ahead on
   * copies, and its cache is put back. Infinity where it takes longer than `limitMs`, and where the prompt does not fit into the cache.
   * `until`: requests that it gets until now, in order; only an engine that has not been advanced for a while has yet to get any.
   */
  predictTtftMs(
    now: number,
    request: EngineRequest,
    limitMs = Number.POSITIVE_INFINITY,
    until: readonly SentRequest[] = [],
  ): number {
    if (!this.fits({ ...request, outputTokens: 1 })) return Number.POSITIVE_INFINITY;
    let firstAt = Number.POSITIVE_INFINITY;
    const probe = { tag: -1 };
    const events: EngineEvents = {
      onFirstToken: ({ tag }, at) => {
        if (tag === probe.tag) firstAt = at;
      },
      onDone: () => undefined,
    };
    this.#pool.begin();
    const ahead = this.#copy(events);
    for (const sent of until) {
      ahead.advanceTo(sent.at);
      ahead.submit(sent.at, sent.request, 0);
    }
    ahead.advanceTo(now);
    ahead.submit(now, request, probe.tag);
    while (firstAt === Number.POSITIVE_INFINITY && ahead.nextAt - now <= limitMs) ahead.advance();
    this.#pool.rollBack();
    return firstAt - now;
  }

  #copy(events: EngineEvents): SimEngine {
    const options = { model: this.#model, kvTokens: 0, slowness: this.#slowness };
    const copy = new SimEngine(options, events, this.#pool);
    copy.#waiting = this.#waiting.map((one) => one.copy());
    copy.#running = this.#running.map((one) => one.copy());
    copy.#step = this.#step?.copy();
    copy.#frozenUntil = this.#frozenUntil;
    return copy;
  }

  /** Something has changed: of the steps in progress only the one that has begun is carried out. */
  #interrupt(now: number): void {
    if (this.#isAdvancing) return;
    if (this.#step) this.#step.cutAfter(now);
    else this.#begin(now);
  }

  #begin(now: number): void {
    const startAt = Math.max(now, this.#frozenUntil);
    const batch = this.#scheduler.next(this.#waiting, this.#running, this.#events.onToken !== undefined);
    this.#step = EngineStep.plan(this.#model, this.#slowness, startAt, batch);
  }

  #finish(step: EngineStep): void {
    const { steps, endAt } = step;
    const running = this.#running;
    let hasGiven = false;
    for (const sequence of running) {
      if (sequence.scheduled > 0 && this.#compute(sequence, steps, endAt)) hasGiven = true;
    }
    if (hasGiven) this.#lastGiving = step.last;
    let kept = 0;
    for (const sequence of running) {
      if (sequence.isAborted || sequence.isDone) this.#scheduler.cache.release(sequence);
      else running[kept++] = sequence;
    }
    running.length = kept;
  }

  /** Returns whether the sequence has got a token. */
  #compute(sequence: Sequence, steps: number, at: number): boolean {
    const { isDecoding } = sequence;
    const tokens = sequence.scheduled * steps;
    sequence.scheduled = 0;
    this.#scheduler.cache.reserve(sequence, tokens);
    sequence.computed += tokens;
    this.#scheduler.cache.name(sequence, sequence.computed);
    if (sequence.isAborted || (!isDecoding && sequence.rest > 0)) return false;
    const isFirst = sequence.generated === 0;
    sequence.generated += isDecoding ? steps : 1;
    if (isFirst) this.#events.onFirstToken(sequence, at);
    else this.#events.onToken?.(sequence, at);
    if (sequence.isDone) this.#events.onDone(sequence, at);
    return true;
  }
}
