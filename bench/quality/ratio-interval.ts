import { seededRandom } from "../../src/simulate/seeded-random.ts";
import type { Run } from "./compare-on.ts";

/** A ratio, and the bounds within which it is with a chance of 95 %. */
export interface RatioInterval {
  readonly ratio: number;
  readonly least: number;
  readonly most: number;
}

/** Times of one session behind both gateways, ms. */
interface Pair {
  readonly own: number[];
  readonly other: number[];
}

/** How often sessions are drawn anew. */
const DRAWS = 1000;

/**
 * The mean over the seeds of a measure of TTFT behind one gateway, over that behind another one, and its bootstrap interval: sessions are
 * drawn anew from those of each seed, the same ones for both gateways. Sessions and not requests, as what holds one request of a session
 * up holds up the next. How one session's requests hold up another's is not in it, so the true interval is rather wider.
 */
export function ratioInterval(
  own: readonly Run[],
  other: readonly Run[],
  measure: (ttftMs: readonly number[]) => number,
): RatioInterval {
  const seeds = own.flatMap((run) => {
    const same = other.find(({ seed }) => seed === run.seed);
    return same ? [pairsOf(run, same)] : [];
  });
  const ratioOf = (drawn: readonly (readonly Pair[])[]): number => {
    const sumOf = (side: keyof Pair): number =>
      drawn.reduce((sum, pairs) => sum + measure(pairs.flatMap((pair) => pair[side])), 0);
    return sumOf("own") / sumOf("other");
  };
  const random = seededRandom(1);
  const ratios = Float64Array.from({ length: DRAWS }, () => ratioOf(seeds.map((pairs) => drawFrom(pairs, random))));
  ratios.sort();
  const at = (share: number): number => ratios[Math.round(share * (DRAWS - 1))] ?? Number.NaN;
  return { ratio: ratioOf(seeds), least: at(0.025), most: at(0.975) };
}

function pairsOf(own: Run, other: Run): readonly Pair[] {
  const pairs = new Map<number, Pair>();
  const fill = ({ sessions, ttftMs }: Run, side: keyof Pair): void => {
    for (const [index, session] of sessions.entries()) {
      const pair = pairs.get(session) ?? { own: [], other: [] };
      pairs.set(session, pair);
      pair[side].push(ttftMs[index] ?? 0);
    }
  };
  fill(own, "own");
  fill(other, "other");
  return [...pairs.values()];
}

function drawFrom(pairs: readonly Pair[], random: () => number): Pair[] {
  return pairs.flatMap(() => pairs[Math.floor(random() * pairs.length)] ?? []);
}
