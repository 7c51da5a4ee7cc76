import type { BlockPool } from "./block-pool.ts";
import { EngineCache } from "./engine-cache.ts";
import type { EngineModel } from "./engine-models.ts";
import type { Sequence } from "./engine-sequence.ts";
import type { Batch } from "./engine-step.ts";

/** Decides what the next step of an engine computes: who decodes, whose prompt is prefilled and how far, who is admitted or preempted. */
export class EngineScheduler {
  readonly cache: EngineCache;
  /** Preemptions so far. */
  preemptions = 0;
  readonly #model: EngineModel;
  /** Tokens that the step being planned may still compute. */
  #budget = 0;

  constructor(model: EngineModel, pool: BlockPool) {
    this.#model = model;
    this.cache = new EngineCache(model, pool);
  }

  /** Plans the next step: sets `scheduled` of each running sequence, and moves sequences between the two lists. */
  next(waiting: Sequence[], running: Sequence[], isOneStep: boolean): Batch {
    const before = this.preemptions;
    this.#budget = this.#model.stepTokens;
    if (this.#model.admission === "at_once") this.#admitAll(waiting, running);
    this.#continue(waiting, running);
    const isCalm = this.preemptions === before;
    if (this.#model.admission === "in_turn" && isCalm) this.#admitInTurn(waiting, running);
    return this.#batch(running, isCalm && !isOneStep);
  }

  /** Gives tokens to the sequences that run already, the oldest first. */
  #continue(waiting: Sequence[], running: Sequence[]): void {
    for (let index = 0; index < running.length; index += 1) {
      const sequence = running[index];
      if (!sequence) break;
      const { isDecoding } = sequence;
      const tokens = isDecoding ? 1 : Math.min(sequence.rest, this.#budget);
      sequence.scheduled = 0;
      if (tokens === 0 || sequence.isAborted) continue;
      if (!this.#makeRoom(sequence, tokens, waiting, running)) break;
      if (!isDecoding || this.#model.isDecodeBudgeted) this.#budget -= tokens;
      this.#schedule(sequence, tokens);
    }
  }

  /** Preempts the youngest sequences until there are blocks for this one. Returns false where it had to go itself. */
  #makeRoom(sequence: Sequence, tokens: number, waiting: Sequence[], running: Sequence[]): boolean {
    while (this.cache.missing(sequence, tokens) > this.cache.pool.free) {
      const youngest = running.pop();
      if (!youngest) return false;
      this.cache.release(youngest);
      youngest.scheduled = 0;
      youngest.preemptions += 1;
      this.preemptions += 1;
      waiting.unshift(youngest);
      if (youngest === sequence) return false;
    }
    return true;
  }

  #schedule(sequence: Sequence, tokens: number): void {
    sequence.scheduled = tokens;
    this.cache.reserve(sequence, tokens);
    if (this.#model.isFoundWhenScheduled) this.cache.name(sequence, sequence.computed + tokens);
  }

  /** Admits waiting requests while budget and memory last. The first one that does not fit holds up those after it. */
  #admitInTurn(waiting: Sequence[], running: Sequence[]): void {
    let admitted = 0;
    for (const sequence of waiting) {
      if (this.#budget <= 0 || running.length >= this.#model.maxRunning) break;
      const hit = this.cache.hitTokens(sequence.request);
      const tokens = Math.min(sequence.known - Math.max(hit, sequence.received), this.#budget);
      if (!this.#admit(sequence, hit, tokens)) break;
      admitted += 1;
      running.push(sequence);
      this.#budget -= tokens;
      this.#schedule(sequence, tokens);
    }
    if (admitted > 0) waiting.splice(0, admitted);
  }

  /** Admits all waiting requests, whether or not there is budget for them. */
  #admitAll(waiting: Sequence[], running: Sequence[]): void {
    let admitted = 0;
    for (const sequence of waiting) {
      if (running.length >= this.#model.maxRunning) break;
      if (!this.#admit(sequence, this.cache.hitTokens(sequence.request), 0)) break;
      admitted += 1;
      running.push(sequence);
    }
    if (admitted > 0) waiting.splice(0, admitted);
  }

  #admit(sequence: Sequence, hitTokens: number, tokens: number): boolean {
    if (!this.cache.admit(sequence, hitTokens, tokens)) return false;
    if (sequence.cachedTokens < 0) sequence.cachedTokens = sequence.computed;
    return true;
  }

  #batch(running: readonly Sequence[], mayRepeat: boolean): Batch {
    let sequences = 0;
    let decoding = 0;
    let contextTokens = 0;
    let prefillTokens = 0;
    let prefillSquares = 0;
    for (const sequence of running) {
      const { scheduled, computed, known } = sequence;
      if (scheduled === 0) continue;
      sequences += 1;
      if (sequence.isDecoding) {
        decoding += 1;
        contextTokens += known;
      } else {
        prefillTokens += scheduled;
        prefillSquares += (computed + scheduled) ** 2 - computed ** 2;
      }
    }
    const steps = mayRepeat && prefillTokens === 0 && sequences > 0 ? this.#repeats(running) : 1;
    return { sequences, decoding, contextTokens, prefillTokens, prefillSquares, steps };
  }

  /**
   * Steps until the first sequence ends, or fewer where the memory might not last so long. Answers are texts of their own: no step frees
   * a block because its text turns out to be cached already.
   */
  #repeats(running: readonly Sequence[]): number {
    let steps = Number.POSITIVE_INFINITY;
    for (const { request, generated } of running) steps = Math.min(steps, request.outputTokens - generated);
    while (steps > 1 && this.#missing(running, steps) > this.cache.pool.free) steps = Math.floor(steps / 2);
    return steps;
  }

  #missing(running: readonly Sequence[], steps: number): number {
    let blocks = 0;
    for (const sequence of running) blocks += this.cache.missing(sequence, steps);
    return blocks;
  }
}
