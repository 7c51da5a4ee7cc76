import type { Baseline } from "./baseline.ts";
import { lowest } from "./lowest.ts";
import { SeenPrefixes } from "./seen-prefixes.ts";

/** Share of the prompt from which on a worker has affinity. */
const AFFINITY = 0.8;
/** Tokens that an engine prefills in a second: the constant of its default. */
const TOKENS_PER_SEC = 15_926;
/** The workers with affinity are left if the best of them is slower than the best of the others by more than this, seconds. */
const MAX_PENALTY_SECS = 18;

/**
 * llm-d's default since 2026-07: a filter that keeps the workers with affinity, and then the least tokens in flight. Tokens are those of
 * prompts, without what is expected to be cached, until the first token.
 */
export const llmd: Baseline = {
  name: "llmd",
  source: "llm-d-router: prefix-cache-affinity filter and token-load scorer, 15,926 tokens/s, 18 s",
  chooses: "among workers that have 80 % of the prompt, or among all, the fewest prompt tokens that wait",
  create({ random }) {
    const seen = new SeenPrefixes();
    return {
      name: "llmd",
      pick(candidates, request) {
        const prompt = request.promptBlocks();
        const matched = candidates.map(({ slot }) => seen.tokens(slot, prompt));
        const hasAffinity = (index: number): boolean => (matched[index] ?? 0) >= AFFINITY * request.promptTokens;
        const loadOf = (index: number): number => candidates[index]?.pendingPromptTokens ?? Number.NaN;
        const least = (has: boolean): number =>
          lowest(candidates.length, (index) => (hasAffinity(index) === has ? loadOf(index) : Number.NaN), random);
        const [sticky, other] = [least(true), least(false)];
        const penaltySecs = (loadOf(sticky) - loadOf(other)) / TOKENS_PER_SEC;
        const index = sticky < 0 || (other >= 0 && penaltySecs > MAX_PENALTY_SECS) ? other : sticky;
        const worker = candidates[index];
        if (worker) seen.insert(worker, prompt);
        return { index, chargeTokens: Math.round(Math.max(0, request.promptTokens - (matched[index] ?? 0))) };
      },
      forget: (_workerId, slot) => seen.forget(slot),
    };
  },
};
