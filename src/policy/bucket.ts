import { z } from "zod";
import { definePolicy } from "./define-policy.ts";
import { LeastLoaded } from "./least-loaded.ts";
import { LengthHistogram, type LengthRanges } from "./length-histogram.ts";
import { LOAD_BOUND_OPTIONS, mostInFlight } from "./load-bound.ts";
import type { PickReason } from "./pick-reasons.ts";
import type { Candidate, Policy, PolicyParts, RequestFeatures } from "./policy.ts";

const OPTIONS = z.strictObject({
  ...LOAD_BOUND_OPTIONS,
  bucketAdjustIntervalSecs: z.int().min(1).max(3600).default(5).meta({
    description:
      "how often the ranges of lengths are divided anew, by the prompts of the last one to two such times, seconds.",
  }),
});

type BucketOptions = z.output<typeof OPTIONS>;

/**
 * Each worker prefills prompts of one range of lengths, so that short prompts do not wait behind long ones in one batch. The ranges are
 * set so that each gets the same number of tokens. They follow the traffic; the threads count lengths in one memory.
 */
export const bucket = definePolicy({
  name: "bucket",
  chooses: "the worker of the prompt's range of lengths, unless it has too many requests",
  goodFor: "prefill workers, prompts of very different lengths that share nothing",
  keepsMemory: true,
  options: OPTIONS,
  create: (options, parts) => new Bucket(options, parts),
});

/** From so many prompts on, the ranges are divided anew at their interval only. */
const MANY = 1024;

/** Ranges with the time and the number of prompts when they were made. */
interface Divided {
  readonly ranges: LengthRanges;
  readonly madeAt: number;
  readonly madeOf: number;
}

/** Workers of one range that are compared; a range has more than one only where one length is most of the traffic. */
const LOOKS = 16;

class Bucket implements Policy {
  readonly name = "bucket";
  lastReason: PickReason = "least_loaded";
  readonly #options: BucketOptions;
  readonly #now: PolicyParts["now"];
  readonly #random: PolicyParts["random"];
  readonly #lengths: LengthHistogram;
  readonly #leastLoaded: LeastLoaded;
  /** For each list of candidates its ranges. */
  readonly #rangesOf = new WeakMap<readonly Candidate[], Divided>();
  /** Prompts of this thread. */
  #prompts = 0;

  constructor(options: BucketOptions, { memory, random, now }: Pick<PolicyParts, "memory" | "random" | "now">) {
    this.#options = options;
    this.#now = now;
    this.#random = random;
    this.#lengths = new LengthHistogram(memory, options.bucketAdjustIntervalSecs * 1000);
    this.#leastLoaded = new LeastLoaded(random);
  }

  pick(candidates: readonly Candidate[], { promptTokens }: RequestFeatures): number {
    const now = this.#now();
    const ranges = this.#ranges(candidates, now);
    this.#lengths.add(promptTokens, now);
    this.#prompts += 1;
    const leastLoaded = this.#leastLoaded.find(candidates);
    this.lastReason = "least_loaded";
    if (!ranges) return leastLoaded;
    const index = this.#leastLoadedFrom(candidates, ranges.first(promptTokens), ranges.last(promptTokens));
    const most = mostInFlight(this.#options, candidates[leastLoaded]?.inFlight ?? 0);
    if ((candidates[index]?.inFlight ?? 0) > most) return leastLoaded;
    this.lastReason = "length_range";
    return index;
  }

  #ranges(candidates: readonly Candidate[], now: number): LengthRanges | undefined {
    const known = this.#rangesOf.get(candidates);
    // A few prompts say little of those to come: until there are many, the ranges are divided anew as often as their number doubles.
    const isFresh = known && now - known.madeAt < this.#options.bucketAdjustIntervalSecs * 1000;
    if (isFresh && (this.#prompts < 2 * known.madeOf || known.madeOf >= MANY)) return known.ranges;
    // Before the first prompt, and after a quiet time, there is nothing to divide.
    const ranges = this.#lengths.divide(candidates.length) ?? known?.ranges;
    if (ranges) this.#rangesOf.set(candidates, { ranges, madeAt: now, madeOf: this.#prompts });
    return ranges;
  }

  #leastLoadedFrom(candidates: readonly Candidate[], first: number, last: number): number {
    const count = last - first + 1;
    if (count === 1) return first;
    const start = Math.floor(this.#random() * count);
    let best = first;
    let least = Number.POSITIVE_INFINITY;
    for (let look = 0; look < Math.min(count, LOOKS); look += 1) {
      const index = first + ((start + look) % count);
      const inFlight = candidates[index]?.inFlight ?? Number.POSITIVE_INFINITY;
      if (inFlight >= least) continue;
      best = index;
      least = inFlight;
    }
    return best;
  }
}
