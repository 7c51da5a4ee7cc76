import type { EngineCore } from "./engine-core.ts";

const KV_TOKENS = 524_288;
const DIMENSIONS = 8;

/** The load of the one rank that there is, as both engines report it. */
export function loadOf(core: EngineCore): {
  numRunningReqs: number;
  numWaitingReqs: number;
  numTotalReqs: number;
  numUsedTokens: number;
  maxTotalNumTokens: number;
  tokenUsage: number;
  maxRunningRequests: number;
} {
  const running = core.scheduler?.running ?? core.running;
  const waiting = core.scheduler?.waiting ?? 0;
  const used = core.cache.tokens;
  return {
    numRunningReqs: running,
    numWaitingReqs: waiting,
    numTotalReqs: running + waiting,
    numUsedTokens: used,
    maxTotalNumTokens: KV_TOKENS,
    tokenUsage: used / KV_TOKENS,
    maxRunningRequests: 256,
  };
}

/** A vector of length 1 that is a function of the prompt. */
export function embeddingOf(promptIds: readonly number[]): number[] {
  const vector = Array.from({ length: DIMENSIONS }, (_, index) =>
    promptIds.reduce((sum, id, at) => sum + Math.sin(id * (index + 1) + at), 1 + index),
  );
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
