import type { Spread } from "../../src/simulate/driver-summary.ts";
import type { Outcome } from "../../src/simulate/outcome.ts";

/** The facts of an outcome that a test looks at. */
export interface OutcomeFacts {
  readonly load: string;
  readonly policy: string;
  readonly seed: number;
  readonly meanMs: number;
  readonly rate?: number;
  readonly goodput?: number;
}

/** The outcome of a run that never was: 1,000 requests at two workers, with this mean TTFT. */
export function madeOutcome({ load, policy, seed, meanMs, rate = 1, goodput = 0.9 }: OutcomeFacts): Outcome {
  const spread = (mean: number): Spread => ({ mean, p50: mean * 0.8, p90: mean * 2, p99: mean * 4 });
  return {
    load,
    policy,
    seed,
    durationSecs: 60,
    warmupSecs: 10,
    rate,
    summary: {
      requests: 1000,
      failed: 0,
      retries: 0,
      preemptions: 0,
      ttft: spread(meanMs),
      tpot: spread(20),
      boundMs: 10,
      goodput,
      hitRate: 0.7,
      idealHitRate: 0.8,
      maxShare: 0.6,
      hotspot: 1.2,
      decisionUs: spread(2),
      predictionErrorMs: Number.NaN,
    },
    ttftMs: Array.from({ length: 201 }, (_, step) => meanMs * (0.1 + step / 50)),
    inFlight: [0, 1].map((worker) => Array.from({ length: 60 }, (_, span) => 1 + worker + (span % 3))),
    tookMs: 5,
  };
}
