/** How an engine's scheduler orders its work and how long its steps take. Data: one class plays all of them. */
export interface EngineModel {
  readonly name: string;
  /** Tokens in a block of its KV cache. Only whole blocks are found again. */
  readonly blockTokens: number;
  /** Sequences that run at once; further ones wait. */
  readonly maxRunning: number;
  /** Tokens that one step computes at most. */
  readonly stepTokens: number;
  /** Whether each sequence that decodes takes one token of the step's budget. */
  readonly isDecodeBudgeted: boolean;
  /**
   * When a waiting request is admitted, which is when its prefix is looked up in the cache. `in_turn`: when its prefill begins.
   * `at_once`: at the next step, so it misses what requests before it in the queue have yet to prefill.
   */
  readonly admission: "in_turn" | "at_once";
  /**
   * `bounded`: running sequences pin their blocks; a request is admitted when enough blocks are free, and the youngest sequence is
   * preempted when none is. `cache_only`: the memory only bounds the cache of what was prefilled before.
   */
  readonly memory: "bounded" | "cache_only";
  /** Whether blocks are found by others as soon as the step that computes them is scheduled, or only when it is over. */
  readonly isFoundWhenScheduled: boolean;
  /** Time of a step, ms: for itself, for each sequence in it, for each token of context of a decoding sequence. */
  readonly stepMs: number;
  readonly sequenceMs: number;
  readonly contextTokenMs: number;
  /** Time of prefill, ms: for each token, and for each pair of tokens that attend to each other, counted as the square of the context. */
  readonly prefillTokenMs: number;
  readonly prefillSquareMs: number;
}

/** A small engine with the pace of a small model. It looks prefixes up before their turn to be prefilled. */
export const LAB_ENGINE: EngineModel = {
  name: "lab",
  blockTokens: 16,
  maxRunning: 256,
  stepTokens: 2048,
  isDecodeBudgeted: false,
  admission: "at_once",
  memory: "cache_only",
  isFoundWhenScheduled: false,
  stepMs: 8,
  sequenceMs: 0.4,
  contextTokenMs: 0,
  prefillTokenMs: 1000 / 6000,
  prefillSquareMs: 0,
};

/**
 * The order of vLLM's V1 scheduler: sequences that decode, prefills that run, then the waiting ones first in, first out, while the
 * budget of the step lasts. Decode and linear prefill take what vllm-router's published constants say (10.6 ms, 0.419 ms a sequence,
 * 1.42e-7 s a token of context; 57 us a token). Of its quadratic term, 4.4e-9 s, a quarter is used: with all of it eight workers cannot
 * keep up with the public traces.
 */
export const V1_ENGINE: EngineModel = {
  name: "v1",
  blockTokens: 16,
  maxRunning: 256,
  stepTokens: 8192,
  isDecodeBudgeted: true,
  admission: "in_turn",
  memory: "bounded",
  isFoundWhenScheduled: true,
  stepMs: 10.6,
  sequenceMs: 0.419,
  contextTokenMs: 1.42e-4,
  prefillTokenMs: 0.057,
  prefillSquareMs: 1.1e-6,
};

/** Time of the first token on an engine that does nothing else, ms. `cachedTokens` of the prompt need no prefill. */
export function idleTtftMs(model: EngineModel, promptTokens: number, cachedTokens: number): number {
  const computed = promptTokens - cachedTokens;
  const steps = Math.ceil(computed / model.stepTokens);
  const squares = promptTokens * promptTokens - cachedTokens * cachedTokens;
  return steps * (model.stepMs + model.sequenceMs) + computed * model.prefillTokenMs + squares * model.prefillSquareMs;
}
