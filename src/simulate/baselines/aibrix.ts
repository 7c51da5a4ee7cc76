import type { Baseline } from "./baseline.ts";
import { lowest } from "./lowest.ts";
import { SeenPrefixes } from "./seen-prefixes.ts";

/** Requests by which the fleet may differ before prefixes no longer count. */
const MAX_SPREAD = 8;
/** A worker for a prefix has at most the mean and this many standard deviations in flight. */
const DEVIATIONS = 1;

/** AIBrix' `prefix-cache`: by match, then by load, among the workers that are not far above the mean. */
export const aibrix: Baseline = {
  name: "aibrix",
  source: "AIBrix prefix-cache: spread 8, one standard deviation",
  chooses: "the longest match among workers whose load is at most the mean and one standard deviation",
  create({ random }) {
    const seen = new SeenPrefixes();
    return {
      name: "aibrix",
      pick(candidates, request) {
        const prompt = request.promptBlocks();
        const loads = candidates.map(({ inFlight }) => inFlight);
        const mean = loads.reduce((sum, load) => sum + load, 0) / loads.length;
        const deviation = Math.sqrt(loads.reduce((sum, load) => sum + (load - mean) ** 2, 0) / loads.length);
        const isEven = Math.max(...loads) - Math.min(...loads) <= MAX_SPREAD;
        // A match in whole percent comes first, requests in flight second.
        const costs = candidates.map(({ slot }, index) => {
          const load = loads[index] ?? 0;
          if (!isEven) return load;
          const percent = Math.floor((100 * seen.tokens(slot, prompt)) / request.promptTokens);
          return percent > 0 && load <= mean + DEVIATIONS * deviation ? load - percent * 1e6 : load;
        });
        const chosen = lowest(candidates.length, (index) => costs[index] ?? Number.NaN, random);
        const worker = candidates[chosen];
        if (worker) seen.insert(worker, prompt);
        return chosen;
      },
      forget: (_workerId, slot) => seen.forget(slot),
    };
  },
};
