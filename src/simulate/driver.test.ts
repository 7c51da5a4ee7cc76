import { describe, expect, test } from "bun:test";
import { roundRobin } from "../policy/round-robin.ts";
import { runLoad } from "./driver.ts";
import type { SimPolicy } from "./driver-gateway.ts";
import { summarize } from "./driver-summary.ts";
import { LOADS } from "./loads/loads.ts";
import { ORACLE } from "./oracle.ts";

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
