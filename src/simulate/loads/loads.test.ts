import { describe, expect, test } from "bun:test";
import { leastTtft } from "../../policy/least-ttft/least-ttft.ts";
import { roundRobin } from "../../policy/round-robin.ts";
import { runLoad } from "../driver.ts";
import type { SimPolicy } from "../driver-gateway.ts";
import { ANSWERED } from "../driver-records.ts";
import { summarize, type Summary } from "../driver-summary.ts";
import { ORACLE } from "../oracle.ts";
import type { Load } from "./load.ts";
import { LOADS, type LoadOptions } from "./loads.ts";

const IN_TURNS: SimPolicy = { name: "in turns", create: (parts) => roundRobin.create({}, parts) };
const OURS: SimPolicy = { name: "ours", create: (parts) => leastTtft.create({}, parts) };

function made(name: string, options: LoadOptions): Load {
  const row = LOADS.find((one) => one.name === name);
  if (!row) throw new Error(`no load ${name}`);
  return row.create(options);
}

/** Of the mean TTFT, from the third and fourth minute to the seventh and eighth; one seed varies by a third. */
const MOST_GROWTH = 1.7;

interface Figures {
  readonly boundMs: number;
  readonly oracleMs: number;
  /** Mean TTFT in turns as a multiple of the oracle's. */
  readonly inTurns: number;
}

function figuresOf(name: string, durationSecs: number): Figures {
  const seeds = [7, 101];
  const run = (policy: SimPolicy): Summary[] =>
    seeds.map((seed) => summarize(runLoad({ load: made(name, { seed, durationSecs }), policy, seed })));
  const mean = (summaries: readonly Summary[], of: (summary: Summary) => number): number =>
    summaries.reduce((sum, one) => sum + of(one), 0) / seeds.length;
  const oracle = run(ORACLE);
  const oracleMs = mean(oracle, ({ ttft }) => ttft.mean);
  const inTurns = mean(run(IN_TURNS), ({ ttft }) => ttft.mean) / oracleMs;
  return { boundMs: mean(oracle, (one) => one.boundMs), oracleMs, inTurns };
}

/**
 * Figures of a study with engines of the same pace: the bound, the oracle's mean TTFT, ms, and how many times as long round robin takes.
 * Its loads are not these, so they can only be near. Documents are cold for longer than a minute.
 */
const SMALL_ENGINES = [
  ["chat", 120, { boundMs: 50, oracleMs: 59, inTurns: 1.97 }],
  ["agent", 120, { boundMs: 139, oracleMs: 172, inTurns: 2.93 }],
  ["rag", 240, { boundMs: 37, oracleMs: 44, inTurns: 3.25 }],
  ["unique", 120, { boundMs: 74, oracleMs: 74, inTurns: 1.03 }],
] as const;

describe.each(SMALL_ENGINES)("the load %s", (name, durationSecs, study) => {
  test("comes within a fifth of the study's bound and oracle, and within three tenths of its round robin", () => {
    const figures = figuresOf(name, durationSecs);
    expect(figures.boundMs / study.boundMs).toBeWithin(0.8, 1.2);
    expect(figures.oracleMs / study.oracleMs).toBeWithin(0.8, 1.2);
    expect(figures.inTurns / study.inTurns).toBeWithin(0.7, 1.3);
  }, 60_000);
});

/** The same of large engines, by the study's 240 s. Round robin is left out: whether it overloads them is a matter of a little. */
const LARGE_ENGINES = [
  ["hetero", { boundMs: 119, oracleMs: 271 }],
  ["join", { boundMs: 119, oracleMs: 199 }],
  ["die", { boundMs: 119, oracleMs: 203 }],
  ["siblings", { boundMs: 55, oracleMs: 596 }],
  ["heavytail", { boundMs: 336, oracleMs: 373 }],
  ["hotshift", { boundMs: 65, oracleMs: 433 }],
] as const;

describe.each(LARGE_ENGINES)("the load %s", (name, study) => {
  test("comes within three tenths of the study's bound and oracle", () => {
    const oracle = summarize(runLoad({ load: made(name, { seed: 1, durationSecs: 240 }), policy: ORACLE, seed: 1 }));
    expect(oracle.boundMs / study.boundMs).toBeWithin(0.7, 1.3);
    expect(oracle.ttft.mean / study.oracleMs).toBeWithin(0.7, 1.3);
  }, 60_000);
});

describe.each(LOADS.map(({ name }) => [name] as const))("the load %s", (name) => {
  // A load that grows beyond what the fleet bears says more of when it was stopped than of policies.
  test("does not grow as time goes on", () => {
    const { records } = runLoad({ load: made(name, { seed: 2, durationSecs: 480 }), policy: OURS, seed: 2 });
    const meanBetween = (fromMs: number, untilMs: number): number => {
      const rows = Array.from({ length: records.length }, (_, row) => row).filter((row) => {
        const at = records.arrivedAt[row] ?? 0;
        return at >= fromMs && at < untilMs && records.outcome[row] === ANSWERED;
      });
      return rows.reduce((sum, row) => sum + (records.ttftMs[row] ?? 0), 0) / rows.length;
    };
    expect(meanBetween(360_000, 480_000) / meanBetween(120_000, 240_000)).toBeLessThan(MOST_GROWTH);
  }, 60_000);

  test("is the same for the same seed and another for another one", () => {
    const options = { seed: 4, durationSecs: 30 };
    expect(made(name, options)).toEqual(made(name, options));
    expect(made(name, options).sessions).not.toEqual(made(name, { ...options, seed: 5 }).sessions);
  });

  test("begins its sessions in order and within its time", () => {
    const { sessions, durationMs } = made(name, { seed: 4, durationSecs: 30 });
    const starts = sessions.map(({ startAtMs }) => startAtMs);
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
    expect(starts.every((at) => at >= 0 && at < durationMs)).toBe(true);
    expect(new Set(sessions.map(({ key }) => key)).size).toBe(sessions.length);
  });

  test("holds in each prompt what was said before", () => {
    for (const { turns } of made(name, { seed: 4, durationSecs: 30 }).sessions) {
      for (const [index, { prompt }] of turns.entries()) {
        const before = turns[index - 1];
        if (!before?.answer) continue;
        const said = [...before.prompt.segments, before.answer];
        expect(prompt.segments.slice(0, said.length)).toEqual(said);
      }
    }
  });

  test("grows with its rate and with its fleet", () => {
    const count = (options: Partial<LoadOptions>): number =>
      made(name, { seed: 4, durationSecs: 120, ...options }).sessions.length;
    expect(count({ rate: 2 }) / count({})).toBeWithin(1.5, 2.6);
    expect(count({ workers: 16 }) / count({})).toBeWithin(1.5, 2.6);
    expect(made(name, { seed: 4, durationSecs: 10, workers: 16 }).workers).toHaveLength(16);
  });
});

test("the warm-up is a quarter of the time and at most a minute, if nothing is said", () => {
  const warmups = [40, 1000].map((durationSecs) => made("chat", { seed: 1, durationSecs }).warmupMs);
  expect(warmups).toEqual([10_000, 60_000]);
  expect(made("chat", { seed: 1, durationSecs: 40, warmupSecs: 0 }).warmupMs).toBe(0);
});
