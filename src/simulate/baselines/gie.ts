import type { Candidate, Policy } from "../../policy/policy.ts";
import type { Baseline, BaselineParts, EngineReport } from "./baseline.ts";
import { lowest } from "./lowest.ts";
import { SeenPrefixes } from "./seen-prefixes.ts";

/** Weights of the default chart. */
const QUEUE_WEIGHT = 2;
const KV_WEIGHT = 2;
const PREFIX_WEIGHT = 3;
/** How often the endpoint picker reads each engine's metrics, ms. */
const SCRAPE_MS = 50;

/**
 * `2 (max q - q) / (max q - min q) + 2 (1 - kv) + 3 matched / prompt`, the highest; the first term is 2 for all where all queues are
 * equal. q is the queue's length, kv the share of the cache in use.
 */
function create(
  name: string,
  { random }: BaselineParts,
  reportsOf: (candidates: readonly Candidate[]) => readonly EngineReport[],
): Policy {
  const seen = new SeenPrefixes();
  return {
    name,
    pick(candidates, request) {
      const reports = reportsOf(candidates);
      const queues = reports.map(({ waiting }) => waiting);
      const [least, most] = [Math.min(...queues), Math.max(...queues)];
      const prompt = request.promptBlocks();
      const chosen = lowest(
        candidates.length,
        (index) => {
          const { waiting = 0, kvUsed = 0 } = reports[index] ?? {};
          const queue = most === least ? 1 : (most - waiting) / (most - least);
          const prefix = Math.min(1, seen.tokens(candidates[index]?.slot ?? -1, prompt) / request.promptTokens);
          return -(QUEUE_WEIGHT * queue + KV_WEIGHT * (1 - kvUsed) + PREFIX_WEIGHT * prefix);
        },
        random,
      );
      const worker = candidates[chosen];
      if (worker) seen.insert(worker, prompt);
      return chosen;
    },
    forget: (_workerId, slot) => seen.forget(slot),
  };
}

/** The endpoint picker of the Gateway API Inference Extension (now llm-d-router) with its default scorers. */
export const gie: Baseline = {
  name: "gie",
  source: "Gateway API Inference Extension 1.x, default chart: queue 2, kv-cache-utilization 2, prefix 3",
  chooses: "the highest sum of queue, KV and prefix scores, from metrics that are read each 50 ms",
  create(parts) {
    let readAt = Number.NEGATIVE_INFINITY;
    let reports: EngineReport[] = [];
    return create("gie", parts, (candidates) => {
      const tick = Math.floor(parts.now() / SCRAPE_MS);
      if (tick !== readAt || reports.length !== candidates.length) {
        readAt = tick;
        reports = candidates.map(({ slot }) => {
          const { waiting, kvUsed } = parts.fleet.engine(slot);
          return { waiting, kvUsed };
        });
      }
      return reports;
    });
  },
};

/** The same scores, from what the gateway itself has sent. */
export const gieFresh: Baseline = {
  name: "gie_fresh",
  source: "the scores of gie on exact counts of what was sent",
  chooses: "the highest sum of queue, KV and prefix scores, from its own counts",
  create: (parts) =>
    create("gie_fresh", parts, (candidates) =>
      candidates.map(({ inFlight, decoding, contextTokens, kvCapacityTokens }) => ({
        waiting: inFlight - decoding,
        kvUsed: kvCapacityTokens === undefined ? 0 : Math.min(1, contextTokens / kvCapacityTokens),
      })),
    ),
};
