import type { Candidate, Policy, PolicyParts, RequestFeatures } from "../../policy/policy.ts";
import type { Baseline } from "./baseline.ts";
import { lowest } from "./lowest.ts";
import { SeenPrefixes } from "./seen-prefixes.ts";

/** How the relatives of one policy differ. */
interface Relative {
  readonly name: string;
  /** The worker that a known prefix belongs to: the one that got it last, or the first one that the tree lists. */
  readonly owner: "last" | "first";
  /** The worker for a prompt that nobody knows. */
  readonly unknown: "fewest_requests" | "smallest_tree";
}

/** Defaults of all three command lines. */
const CACHE_THRESHOLD = 0.3;
const ABS_THRESHOLD = 64;
const REL_THRESHOLD = 1.5;

/**
 * `imbalanced = max L - min L > 64 and max L > 1.5 min L`, with L the requests in flight: then the worker with the fewest. Else the owner
 * of the longest known prefix, if that is more than 0.3 of the prompt. Else the worker that this relative takes.
 */
function create(relative: Relative, { random }: PolicyParts): Policy {
  const seen = new SeenPrefixes();
  /** The worker that got a block last. */
  const last = new Map<number, number>();

  const ownerOf = (candidates: readonly Candidate[], request: RequestFeatures): number => {
    const prompt = request.promptBlocks();
    const matched = candidates.map(({ slot }) => seen.blocks(slot, prompt));
    const longest = Math.max(...matched);
    const first = matched.indexOf(longest);
    if (seen.tokens(candidates[first]?.slot ?? 0, prompt) <= CACHE_THRESHOLD * request.promptTokens) return -1;
    const slot = last.get(prompt.hashes[longest - 1] ?? 0);
    const latest = candidates.findIndex((one, index) => one.slot === slot && matched[index] === longest);
    return relative.owner === "last" && latest >= 0 ? latest : first;
  };

  return {
    name: relative.name,
    pick(candidates, request) {
      const loads = candidates.map(({ inFlight }) => inFlight);
      const [least, most] = [Math.min(...loads), Math.max(...loads)];
      const isImbalanced = most - least > ABS_THRESHOLD && most > REL_THRESHOLD * least;
      const owner = isImbalanced ? -1 : ownerOf(candidates, request);
      const sizes =
        isImbalanced || relative.unknown === "fewest_requests" ? loads : candidates.map(({ slot }) => seen.size(slot));
      const chosen = owner >= 0 ? owner : lowest(candidates.length, (index) => sizes[index] ?? Number.NaN, random);
      const worker = candidates[chosen];
      if (!worker) return chosen;
      const prompt = request.promptBlocks();
      seen.insert(worker, prompt);
      for (const hash of prompt.hashes) last.set(hash, worker.slot);
      return chosen;
    },
    forget: (_workerId, slot) => seen.forget(slot),
  };
}

/** Shepherd Model Gateway 1.13, `cache_aware` over HTTP. */
export const smg: Baseline = {
  name: "smg",
  source: "smg 1.13 cache_aware: 0.3, 64, 1.5; a prefix belongs to the worker that got it last",
  chooses: "the worker that got the longest known prefix last; for unknown prompts the fewest requests in flight",
  create: (parts) => create({ name: "smg", owner: "last", unknown: "fewest_requests" }, parts),
};

/** sglang-router 0.3, `cache_aware`. */
export const sglang: Baseline = {
  name: "sglang",
  source: "sglang-router 0.3 cache_aware: 0.3, 64, 1.5; unknown prompts go to the smallest tree",
  chooses: "a worker that has the longest known prefix; for unknown prompts the one whose tree is smallest",
  create: (parts) => create({ name: "sglang", owner: "first", unknown: "smallest_tree" }, parts),
};

/** vllm-router 0.1, `cache_aware`: from the same code, and the last owner of a node has the prefix. */
export const vllmRouter: Baseline = {
  name: "vllm_router",
  source: "vllm-router 0.1 cache_aware: 0.3, 64, 1.5; last owner, and unknown prompts go to the smallest tree",
  chooses: "the worker that got the longest known prefix last; for unknown prompts the one whose tree is smallest",
  create: (parts) => create({ name: "vllm_router", owner: "last", unknown: "smallest_tree" }, parts),
};
