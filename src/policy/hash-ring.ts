import type { Candidate } from "./policy.ts";

/** Points of a worker on the ring; with this many, shares differ by about a tenth. */
const POINTS = 160;
/** Most points of all workers together. Workers of a large fleet have fewer points, so that a change causes no pause. */
const MAX_POINTS = 200_000;
/** Larger than the number of workers can be. */
const OWNERS = 2 ** 16;

/**
 * A ring of hashes of worker addresses (Karger et al. 1997). A worker that is added or removed moves only its own share of the keys. All
 * threads build the same ring, so there is nothing to share.
 */
export class HashRing {
  /** Hashes in ascending order. */
  readonly #hashes: Uint32Array;
  /** Index of the candidate of each point. */
  readonly #owners: Uint16Array;

  /**
   * Builds the ring as numbers of 48 bits that sort by hash and then by owner, which the runtime sorts natively. A ring of 160,000
   * points takes 20 ms; objects with a hash and an owner take 88 (Bun 1.4.5, AMD EPYC, 2026-11-24).
   */
  constructor(candidates: readonly Candidate[]) {
    const pointsEach = Math.max(8, Math.min(POINTS, Math.floor(MAX_POINTS / candidates.length)));
    const points = new Float64Array(candidates.length * pointsEach);
    let at = 0;
    for (const [owner, { url }] of candidates.entries()) {
      const seed = Bun.hash.wyhash(url);
      const [low, high] = [Number(seed & 0xffff_ffffn), Number(seed >> 32n)];
      for (let point = 0; point < pointsEach; point += 1) {
        points[at] = scramble(scramble(low + point) ^ high) * OWNERS + owner;
        at += 1;
      }
    }
    points.sort();
    this.#owners = Uint16Array.from(points, (point) => point % OWNERS);
    this.#hashes = Uint32Array.from(points, (point) => Math.floor(point / OWNERS));
    orderEquals(this.#hashes, this.#owners, candidates);
  }

  /** Number of points. */
  get size(): number {
    return this.#hashes.length;
  }

  /** The first point whose hash is at least `hash`, 32 bits; after the last one the ring begins again. */
  pointFrom(hash: number): number {
    let low = 0;
    let high = this.#hashes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#hashes[middle] ?? 0) < hash) low = middle + 1;
      else high = middle;
    }
    return low === this.#hashes.length ? 0 : low;
  }

  /** Index of the candidate that owns a point; points after the last one are those from the beginning. */
  ownerAt(point: number): number {
    return this.#owners[point < this.#owners.length ? point : point % this.#owners.length] ?? -1;
  }

  /** Index of the candidate that owns the hash. */
  ownerOf(hash: number): number {
    return this.ownerAt(this.pointFrom(hash));
  }
}

/** The rings of lists of candidates. A list is reused until the set of workers changes, and few lists are in use at a time. */
export class HashRings {
  readonly #rings = new WeakMap<readonly Candidate[], HashRing>();

  of(candidates: readonly Candidate[]): HashRing {
    let ring = this.#rings.get(candidates);
    if (!ring) {
      ring = new HashRing(candidates);
      this.#rings.set(candidates, ring);
    }
    return ring;
  }
}

/** Orders equal points of two workers by address, so that the order of the candidates has no effect. */
function orderEquals(hashes: Uint32Array, owners: Uint16Array, candidates: readonly Candidate[]): void {
  for (let end = 1; end < hashes.length; end += 1) {
    for (let at = end; at > 0 && hashes[at] === hashes[at - 1]; at -= 1) {
      const [before, owner] = [owners[at - 1] ?? 0, owners[at] ?? 0];
      if ((candidates[before]?.url ?? "") <= (candidates[owner]?.url ?? "")) break;
      owners[at - 1] = owner;
      owners[at] = before;
    }
  }
}

/** Scrambles 32 bits, so that each bit depends on all bits (MurmurHash3). */
export function scramble(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
