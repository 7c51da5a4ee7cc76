import { describe, expect, test } from "bun:test";
import { roundRobin } from "../policy/round-robin.ts";
import { runLoad } from "./driver.ts";
import type { SimPolicy } from "./driver-gateway.ts";
import { summarize } from "./driver-summary.ts";
import { idleTtftMs, V1_ENGINE } from "./engine-models.ts";
import type { Fault, Load } from "./loads/load.ts";
import { LOADS } from "./loads/loads.ts";
import { PAIR_WAYS } from "./pair-ways.ts";

/** Requests of 3000 tokens that come one by one, before two prefill and two decode workers. */
function calmLoad(faults: readonly Fault[] = []): Load {
  const worker = { engine: V1_ENGINE, kvTokens: 100_000, slowness: 1, joinsAtMs: 0 };
  const sessions = Array.from({ length: 12 }, (_, index) => ({
    startAtMs: index * 1000,
    key: index,
    turns: [
      {
        prompt: { segments: [{ id: index, tokens: 3000 }], tokens: 3000, bytesPerToken: 4 },
        outputTokens: 20,
        answer: undefined,
        thinkMs: 0,
      },
    ],
  }));
  const roles = ["prefill", "prefill", "decode", "decode"] as const;
  const workers = roles.map((role) => ({ ...worker, role }));
  return {
    name: "calm",
    workers,
    sessions,
    faults,
    slo: { ttftMs: 1000, tpotMs: 50 },
    durationMs: 12_000,
    warmupMs: 0,
  };
}

const IN_TURNS: SimPolicy = { name: "in turns", create: (parts) => roundRobin.create({}, parts) };
const named = (name: string): SimPolicy => PAIR_WAYS.find((way) => way.name === name) ?? IN_TURNS;

describe("a request of a pair", () => {
  test("is prefilled on one worker, handed over, and gets its first token from a step of the other", () => {
    const { records } = runLoad({ load: calmLoad(), policy: IN_TURNS, seed: 1 });
    const apart = idleTtftMs(V1_ENGINE, 3000, 0) + 3 + 0.01 * 3000 + idleTtftMs(V1_ENGINE, 3000, 2999);
    for (let row = 0; row < records.length; row += 1) {
      expect(records.ttftMs[row]).toBeCloseTo(apart, 6);
      expect([records.prefillWorker[row], records.worker[row]]).toEqual([row % 2, 2 + (row % 2)]);
      expect(records.cachedTokens[row]).toBe(0);
    }
  });

  test("counts at both of its workers: the fleet is even where each role is", () => {
    const even = summarize(runLoad({ load: calmLoad(), policy: IN_TURNS, seed: 1 }));
    expect([even.maxShare, even.hotspot]).toEqual([0.5, 1]);
    // Workers 1 and 3 have one request each before their partners are dead; then 0 and 2 get all.
    const faults = [1, 3].map((worker) => ({ kind: "die", atMs: 1500, worker }) as const);
    expect(summarize(runLoad({ load: calmLoad(faults), policy: IN_TURNS, seed: 1 })).hotspot).toBeCloseTo(
      (2 * 11) / 12,
      6,
    );
  });

  test("was predicted as well as the prefill worker keeps to it, from the send on and not from the arrival", () => {
    const expecting: SimPolicy = {
      name: "expecting",
      create: (parts) => {
        const turns = roundRobin.create({}, parts);
        return {
          name: "expecting",
          pick: (...asked) => {
            const index = turns.pick(...asked);
            return { index: typeof index === "number" ? index : index.index, predictedTtftMs: 100 };
          },
        };
      },
    };
    const off = Math.abs(idleTtftMs(V1_ENGINE, 3000, 0) - 100);
    const calm = summarize(runLoad({ load: calmLoad(), policy: expecting, seed: 1 }));
    expect(calm.predictionErrorMs).toBeCloseTo(off, 6);
    // A request that was lost is sent once more: what it waited before is nothing that was predicted.
    const lossy = summarize(
      runLoad({ load: calmLoad([{ kind: "restart", atMs: 2050, worker: 0 }]), policy: expecting, seed: 1 }),
    );
    expect([lossy.retries, lossy.predictionErrorMs]).toEqual([1, expect.closeTo(off, 6)]);
  });

  test("takes as long as its hand-over is said to take", () => {
    const ttft = (tokenMs: number): number =>
      summarize(runLoad({ load: calmLoad(), policy: IN_TURNS, seed: 1, handOver: { fixedMs: 3, tokenMs } })).ttft.mean;
    expect(ttft(0.05) - ttft(0.01)).toBeCloseTo(0.04 * 3000, 6);
  });

  test("is prefilled by the decode worker where that costs less, and only there", () => {
    const { records } = runLoad({ load: calmLoad(), policy: named("pd_cost"), seed: 1 });
    const ttftMs = idleTtftMs(V1_ENGINE, 3000, 0);
    for (let row = 0; row < records.length; row += 1) {
      expect(records.prefillWorker[row]).toBe(records.worker[row] ?? -1);
      expect(records.ttftMs[row]).toBeCloseTo(ttftMs, 6);
    }
  });

  test("is never prefilled by a decode worker that cannot do so", () => {
    for (const policy of PAIR_WAYS) {
      const { records } = runLoad({ load: calmLoad(), policy, seed: 1, prefillsAlone: false });
      for (let row = 0; row < records.length; row += 1) expect(records.prefillWorker[row]).toBeLessThan(2);
    }
  });

  test("is sent to another pair when either worker dies, and none is lost", () => {
    for (const worker of [0, 2]) {
      const load = calmLoad([{ kind: "die", atMs: 2050, worker }]);
      const summary = summarize(runLoad({ load, policy: IN_TURNS, seed: 1 }));
      expect(summary.failed).toBe(0);
      expect(summary.retries).toBeGreaterThan(0);
    }
  });
});

test("every way to choose pairs answers every request of a load whose workers are divided", () => {
  const load = LOADS.find(({ name }) => name === "heavytail")?.create({ seed: 3, durationSecs: 8 }) ?? calmLoad();
  const divided = {
    ...load,
    workers: load.workers.map((worker, index) => ({
      ...worker,
      role: index % 2 === 0 ? ("prefill" as const) : ("decode" as const),
    })),
  };
  const summaries = PAIR_WAYS.map((policy) => summarize(runLoad({ load: divided, policy, seed: 1 })));
  expect(summaries.map(({ failed }) => failed)).toEqual(PAIR_WAYS.map(() => 0));
  const [always] = summaries;
  const byCost = summaries.at(-1);
  expect(byCost?.ttft.mean).toBeLessThan(always?.ttft.mean ?? 0);
});
