import type { Random } from "../../policy/policy.ts";

/** Index of the lowest of `count` costs; equals are drawn by lot. NaN is never chosen; -1 if there is nothing else. */
export function lowest(count: number, costOf: (index: number) => number, random: Random): number {
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  let equals = 0;
  for (let index = 0; index < count; index += 1) {
    const cost = costOf(index);
    if (best >= 0 && cost === least) {
      equals += 1;
      if (random() * (equals + 1) < 1) best = index;
    } else if (cost < least || (best < 0 && !Number.isNaN(cost))) {
      [best, least, equals] = [index, cost, 0];
    }
  }
  return best;
}
