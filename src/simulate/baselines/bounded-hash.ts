import type { Candidate, Policy, RequestFeatures } from "../../policy/policy.ts";
import type { Baseline } from "./baseline.ts";

/** A worker may have this many times the mean load, this request included. */
const LOAD_FACTOR = 1.25;
/** Points of each worker on the ring. */
const POINTS = 256;

interface Point {
  readonly hash: number;
  readonly index: number;
}

/** Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018): from the key's place on to the first worker with room. */
function create(name: string, keyOf: (request: RequestFeatures) => string): Policy {
  let known: readonly Candidate[] = [];
  let ring: readonly Point[] = [];
  return {
    name,
    pick(candidates, request) {
      if (candidates !== known) [known, ring] = [candidates, ringOf(candidates)];
      const total = candidates.reduce((sum, { inFlight }) => sum + inFlight, 0);
      const bound = Math.ceil((LOAD_FACTOR * (total + 1)) / candidates.length);
      const hash = Bun.hash.xxHash32(keyOf(request));
      const start = Math.max(
        0,
        ring.findIndex((point) => point.hash >= hash),
      );
      for (let step = 0; step < ring.length; step += 1) {
        const { index = 0 } = ring[(start + step) % ring.length] ?? {};
        if ((candidates[index]?.inFlight ?? 0) + 1 <= bound) return index;
      }
      return 0;
    },
  };
}

function ringOf(candidates: readonly Candidate[]): readonly Point[] {
  return candidates
    .flatMap(({ url }, index) =>
      Array.from({ length: POINTS }, (_, point) => ({ hash: Bun.hash.xxHash32(`${url} ${point}`), index })),
    )
    .sort((a, b) => a.hash - b.hash);
}

/** By session; a request without one is hashed by its prompt. */
export const chbl: Baseline = {
  name: "chbl",
  source: "consistent hashing with bounded loads by session, factor 1.25",
  chooses: "the session's worker on a hash ring, or the next one that has room",
  create: () =>
    create("chbl", (request) => request.routingKey() ?? `prompt ${request.promptBlocks().hashes.at(-1) ?? 0}`),
};

/** By the beginning of the prompt: KubeAI, smg's prefix_hash. */
export const chblPrefix: Baseline = {
  name: "chbl_prefix",
  source: "KubeAI PrefixHash: the prompt's first 128 bytes, factor 1.25",
  chooses: "the worker of the prompt's beginning on a hash ring, or the next one that has room",
  create: () => create("chbl_prefix", (request) => `prompt ${request.promptBlocks().hashes[0] ?? 0}`),
};
