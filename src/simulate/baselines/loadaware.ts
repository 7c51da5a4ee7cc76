import type { Baseline } from "./baseline.ts";
import { lowest } from "./lowest.ts";
import { SeenPrefixes } from "./seen-prefixes.ts";

/** Weight of the load. */
const BETA = 1;

/** `matched / prompt - (load - mean) / max(1, mean)`, the highest; load is requests in flight. */
export const loadaware: Baseline = {
  name: "loadaware",
  source: "vLLM production-stack loadaware (PR 1035), beta 1",
  chooses: "the highest share of the prompt in cache, less the load above the mean",
  create({ random }) {
    const seen = new SeenPrefixes();
    return {
      name: "loadaware",
      pick(candidates, request) {
        const prompt = request.promptBlocks();
        const mean = candidates.reduce((sum, { inFlight }) => sum + inFlight, 0) / candidates.length;
        const chosen = lowest(
          candidates.length,
          (index) => {
            const { slot = -1, inFlight = 0 } = candidates[index] ?? {};
            const excess = (inFlight - mean) / Math.max(1, mean);
            return BETA * excess - seen.tokens(slot, prompt) / request.promptTokens;
          },
          random,
        );
        const worker = candidates[chosen];
        if (worker) seen.insert(worker, prompt);
        return chosen;
      },
      forget: (_workerId, slot) => seen.forget(slot),
    };
  },
};
