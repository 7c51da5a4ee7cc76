import type { Clock } from "../util/clock.ts";

export interface EngineTiming {
  readonly prefillTokensPerSec: number;
  /** Length of a decode step with no sequence in it, ms. */
  readonly decodeMs: number;
  /** What each sequence that decodes adds to the step, ms. */
  readonly decodeMsPerRunning: number;
  /** Sequences that run at once; further ones wait. */
  readonly maxRunning: number;
  /** Prompt tokens that one step prefills at most: a long prompt holds up the sequences that decode for one step at a time. */
  readonly prefillChunkTokens: number;
}

/** The pace of a model of eight billion parameters on one accelerator. */
export const ENGINE_TIMING: EngineTiming = {
  prefillTokensPerSec: 8000,
  decodeMs: 6,
  decodeMsPerRunning: 0.35,
  maxRunning: 256,
  prefillChunkTokens: 2048,
};

interface Sequence {
  prefillLeft: number;
  tokensLeft: number;
  /** Tokens of it in the KV cache, without those that were there before. */
  held: number;
  readonly onToken: () => void;
}

/**
 * The timing of continuous batching: each step prefills a chunk of the prompts that came first, and gives one token to every
 * sequence that decodes.
 */
export class Scheduler {
  readonly #timing: EngineTiming;
  readonly #clock: Clock;
  readonly #waiting = new Set<Sequence>();
  readonly #running = new Set<Sequence>();
  #cancelStep: (() => void) | undefined;

  constructor(timing: EngineTiming, clock: Clock) {
    this.#timing = timing;
    this.#clock = clock;
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Tokens in the KV cache that running sequences have computed. */
  get heldTokens(): number {
    let tokens = 0;
    for (const { held } of this.#running) tokens += held;
    return tokens;
  }

  /** Adds a sequence and calls `onToken` each time that a real engine would give a token. The returned function takes the sequence out. */
  add(prefillTokens: number, tokens: number, onToken: () => void): () => void {
    const sequence: Sequence = { prefillLeft: Math.max(1, prefillTokens), tokensLeft: tokens, held: 0, onToken };
    this.#waiting.add(sequence);
    this.#schedule();
    return () => {
      this.#waiting.delete(sequence);
      this.#running.delete(sequence);
    };
  }

  stop(): void {
    this.#cancelStep?.();
    this.#cancelStep = undefined;
    this.#waiting.clear();
    this.#running.clear();
  }

  #schedule(): void {
    if (this.#cancelStep || (this.#waiting.size === 0 && this.#running.size === 0)) return;
    for (const sequence of this.#waiting) {
      if (this.#running.size >= this.#timing.maxRunning) break;
      this.#waiting.delete(sequence);
      this.#running.add(sequence);
    }
    const { ms, finish } = this.#plan();
    this.#cancelStep = this.#clock.after(ms, () => {
      this.#cancelStep = undefined;
      finish();
      this.#schedule();
    });
  }

  /** Plans the next step: its length, and what to do at its end. */
  #plan(): { ms: number; finish: () => void } {
    let budget = this.#timing.prefillChunkTokens;
    const produced: Sequence[] = [];
    let decoding = 0;
    for (const sequence of this.#running) {
      if (sequence.prefillLeft === 0) {
        decoding += 1;
        produced.push(sequence);
      } else if (budget > 0) {
        const taken = Math.min(budget, sequence.prefillLeft);
        budget -= taken;
        sequence.prefillLeft -= taken;
        sequence.held += taken;
        // The step that prefills the last of a prompt gives the first token.
        if (sequence.prefillLeft === 0) produced.push(sequence);
      }
    }
    const prefilled = this.#timing.prefillChunkTokens - budget;
    const { prefillTokensPerSec, decodeMs, decodeMsPerRunning } = this.#timing;
    const ms = (prefilled / prefillTokensPerSec) * 1000 + (decoding > 0 ? decodeMs + decodeMsPerRunning * decoding : 0);
    return { ms, finish: () => this.#produce(produced) };
  }

  #produce(sequences: readonly Sequence[]): void {
    for (const sequence of sequences) {
      if (!this.#running.has(sequence)) continue;
      sequence.tokensLeft -= 1;
      sequence.held += 1;
      if (sequence.tokensLeft <= 0) this.#running.delete(sequence);
      sequence.onToken();
    }
  }
}
