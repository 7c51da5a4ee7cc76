import type { Random } from "../policy/policy.ts";

/** Random numbers in [0, 1) that are the same for the same seeds. */
export function seededRandom(...seeds: readonly number[]): Random {
  let state = 0x2545f491;
  for (const seed of seeds) state = Math.imul(state ^ seed, 0x9e3779b1) ^ (state >>> 15);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
