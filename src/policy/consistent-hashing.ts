import { LeastLoaded } from "./least-loaded.ts";
import type { Candidate, Policy } from "./policy.ts";

/** Points of a worker on the ring: enough for shares that differ by about a tenth. */
const POINTS = 160;
/** Points of all workers together; a large fleet has fewer each, so that a change is not a pause. */
const MAX_POINTS = 200_000;

interface Ring {
  /** Sorted. */
  readonly hashes: Uint32Array;
  /** Index of the candidate of each point. */
  readonly owners: Uint16Array;
}

/**
 * The worker that the routing key falls to on a ring of hashes of worker addresses (Karger et al. 1997): a worker that
 * comes or goes moves only its own share of the keys. Without a key, the least loaded.
 */
export function createConsistentHashing(): Policy {
  const leastLoaded = new LeastLoaded();
  let known: readonly Candidate[] | undefined;
  let ring: Ring = { hashes: new Uint32Array(0), owners: new Uint16Array(0) };
  return {
    name: "consistent_hashing",
    select(candidates, request) {
      const key = request.routingKey();
      if (key === undefined) return leastLoaded.find(candidates);
      if (candidates !== known) {
        known = candidates;
        ring = buildRing(candidates);
      }
      return ring.owners[firstFrom(ring.hashes, Bun.hash.xxHash32(key))] ?? -1;
    },
  };
}

function buildRing(candidates: readonly Candidate[]): Ring {
  const pointsEach = Math.max(8, Math.min(POINTS, Math.floor(MAX_POINTS / candidates.length)));
  const points: { hash: number; owner: number }[] = [];
  for (const [owner, { url }] of candidates.entries()) {
    for (let point = 0; point < pointsEach; point += 1)
      points.push({ hash: Bun.hash.xxHash32(`${url}#${point}`), owner });
  }
  // Points of two workers may meet; the address decides then, so that the order of the candidates does not.
  points.sort(
    (a, b) => a.hash - b.hash || ((candidates[a.owner]?.url ?? "") < (candidates[b.owner]?.url ?? "") ? -1 : 1),
  );
  return {
    hashes: Uint32Array.from(points, ({ hash }) => hash),
    owners: Uint16Array.from(points, ({ owner }) => owner),
  };
}

/** Index of the first hash that is at least `hash`; past the last one the ring begins anew. */
function firstFrom(hashes: Uint32Array, hash: number): number {
  let low = 0;
  let high = hashes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((hashes[middle] ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  return low === hashes.length ? 0 : low;
}
