import type { Baseline } from "./baseline.ts";
import { SeenPrefixes } from "./seen-prefixes.ts";

/** A request may leave the candidate with the longer match if its backlog would take longer than this, seconds. */
const SLO_SECS = 1;
/** Seconds to prefill a token. */
const PREFILL_SECS = 57e-6;
/** Blocks of the prompt's beginning that are hashed: 128 bytes each, so 256 tokens. */
const HASHED_BLOCKS = 8;

/**
 * Two hashes of the prompt's beginning name two workers. Of these the one with the longer match, while its backlog allows the SLO; else
 * the one with less backlog. The paper's migration of queued requests is left out: a gateway has sent them already.
 */
export const dualmap: Baseline = {
  name: "dualmap",
  source: "DualMap, arXiv 2602.06502 (ICLR 2026), without migration",
  chooses: "of two workers, named by two hashes of the prompt's beginning, the one with the cache or with less backlog",
  create() {
    const seen = new SeenPrefixes();
    return {
      name: "dualmap",
      pick(candidates, request) {
        const prompt = request.promptBlocks();
        const key = prompt.hashes[Math.min(HASHED_BLOCKS, prompt.hashes.length) - 1] ?? 0;
        const first = Bun.hash.xxHash32(String(key), 1) % candidates.length;
        const step = 1 + (Bun.hash.xxHash32(String(key), 2) % Math.max(1, candidates.length - 1));
        const both = [first, (first + step) % candidates.length].map((index) => {
          const { slot = 0, pendingPromptTokens = 0 } = candidates[index] ?? {};
          const uncached = Math.max(0, request.promptTokens - seen.tokens(slot, prompt));
          return { index, uncached, backlog: pendingPromptTokens };
        });
        both.sort((a, b) => a.uncached - b.uncached || a.backlog - b.backlog);
        const [cached, other] = both;
        const isLate =
          (cached?.backlog ?? 0) * PREFILL_SECS > SLO_SECS && (other?.backlog ?? 0) < (cached?.backlog ?? 0);
        const { index = 0, uncached = 0 } = (isLate ? other : cached) ?? {};
        const worker = candidates[index];
        if (worker) seen.insert(worker, prompt);
        return { index, chargeTokens: Math.round(uncached) };
      },
      forget: (_workerId, slot) => seen.forget(slot),
    };
  },
};
