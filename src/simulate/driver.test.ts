import { describe, expect, test } from "bun:test";
import { roundRobin } from "../policy/round-robin.ts";
import { runLoad } from "./driver.ts";
import type { SimPolicy } from "./driver-gateway.ts";
import { summarize } from "./driver-summary.ts";
import { LOADS } from "./loads/loads.ts";
import type { Load, WorkerSpec } from "./loads/load.ts";
import { V1_ENGINE } from "./engine-models.ts";
import { ORACLE } from "./oracle.ts";
import { PAIR_WAYS } from "./pair-ways.ts";

const ROUND_ROBIN: SimPolicy = { name: "round robin", create: (parts) => roundRobin.create({}, parts) };

describe.each(LOADS.map((row) => [row.name, row] as const))("the load %s", (_, row) => {
  const load = row.create({ seed: 3, durationSecs: 20 });

  test("is answered in full, with the same result for the same seed", () => {
    const [one, other] = [0, 1].map(() => runLoad({ load, policy: ROUND_ROBIN, seed: 1 }));
    expect(one && summarize(one).failed).toBe(0);
    expect(one?.records.ttftMs).toEqual(other?.records.ttftMs ?? new Float64Array());
    expect(one?.records.worker).toEqual(other?.records.worker ?? new Int32Array());
  });

  test("is answered sooner by an oracle than in turns, and never sooner than its bound", () => {
    const oracle = summarize(runLoad({ load, policy: ORACLE, seed: 1 }));
    const inTurns = summarize(runLoad({ load, policy: ROUND_ROBIN, seed: 1 }));
    // Where decode is what binds, the greedy oracle crowds the workers that have the document, and is no longer ahead.
    if (row.name !== "hotshift") expect(oracle.ttft.mean).toBeLessThan(inTurns.ttft.mean);
    expect(oracle.ttft.mean).toBeGreaterThan(oracle.boundMs - 1e-6);
    expect(oracle.hitRate).toBeLessThanOrEqual(oracle.idealHitRate);
  });
});

describe("requests that are too long for the KV cache", () => {
  /** Two of three requests fit, and nobody but the third is answered with an error. */
  const load = (roles: readonly WorkerSpec["role"][]): Load => ({
    name: "too long",
    workers: roles.map((role) => ({
      ...{ engine: V1_ENGINE, kvTokens: 16_000, slowness: 1, joinsAtMs: 0 },
      role: role ?? "regular",
    })),
    sessions: Array.from({ length: 30 }, (_, key) => {
      const prompt = {
        segments: [{ id: key, tokens: key % 3 === 0 ? 20_000 : 500 }],
        tokens: key % 3 === 0 ? 20_000 : 500,
        bytesPerToken: 4,
      };
      return { startAtMs: key * 300, key, turns: [{ prompt, outputTokens: 5, answer: undefined, thinkMs: 0 }] };
    }),
    faults: [],
    slo: { ttftMs: 1000, tpotMs: 100 },
    durationMs: 10_000,
    warmupMs: 0,
  });

  for (const policy of [ROUND_ROBIN, ORACLE]) {
    test(`fail at once, and no worker is left out for them: ${policy.name}`, () => {
      const result = runLoad({ load: load(["regular", "regular"]), policy, seed: 1 });
      const { requests, failed, retries } = summarize(result);
      expect([requests, failed, retries]).toEqual([30, 10, 0]);
    });
  }

  for (const policy of [ORACLE, ...PAIR_WAYS]) {
    test(`fail at once where workers are divided: ${policy.name}`, () => {
      const divided = load(["prefill", "decode"]);
      expect(summarize(runLoad({ load: divided, policy, seed: 1 })).failed).toBe(10);
    });
  }
});
