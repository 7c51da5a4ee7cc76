import { describe, expect, test } from "bun:test";
import { madeOutcome } from "../../test/support/outcomes.ts";
import { type Job, USUAL_SITUATION } from "./job.ts";
import { jsonReport } from "./report/json-report.ts";
import { textReport } from "./report/text-report.ts";
import { figure, groupsOf, overall, ratioTo } from "./study.ts";

const OUTCOMES = [
  madeOutcome({ load: "chat", policy: "oracle", seed: 1, meanMs: 100 }),
  madeOutcome({ load: "chat", policy: "oracle", seed: 2, meanMs: 200 }),
  madeOutcome({ load: "chat", policy: "mine", seed: 1, meanMs: 110 }),
  madeOutcome({ load: "chat", policy: "mine", seed: 2, meanMs: 220 }),
  madeOutcome({ load: "rag", policy: "oracle", seed: 1, meanMs: 50 }),
  madeOutcome({ load: "rag", policy: "mine", seed: 1, meanMs: 40 }),
  madeOutcome({ load: "rag", policy: "other", seed: 1, meanMs: 100 }),
];
const GROUPS = groupsOf(OUTCOMES);

describe("a study", () => {
  test("groups outcomes by load and rate, and in each by policy", () => {
    expect(
      GROUPS.map(({ load, cells }) => [load, cells.map(({ policy, outcomes }) => [policy, outcomes.length])]),
    ).toEqual([
      [
        "chat",
        [
          ["oracle", 2],
          ["mine", 2],
        ],
      ],
      [
        "rag",
        [
          ["oracle", 1],
          ["mine", 1],
          ["other", 1],
        ],
      ],
    ]);
    const rates = groupsOf([...OUTCOMES, madeOutcome({ load: "chat", policy: "mine", seed: 1, meanMs: 1, rate: 2 })]);
    expect(rates.map(({ load, rate }) => [load, rate])).toEqual([
      ["chat", 1],
      ["rag", 1],
      ["chat", 2],
    ]);
  });

  test("compares seed by seed: what a seed does to all policies cancels out", () => {
    const [chat] = GROUPS;
    const [, mine] = chat?.cells ?? [];
    if (!chat || !mine) throw new Error("there is no such cell");
    expect(figure(mine, ({ summary }) => summary.ttft.mean).mean).toBe(165);
    expect(ratioTo("oracle", mine, chat)?.mean).toBeCloseTo(1.1, 12);
    expect(ratioTo("oracle", mine, chat)?.half).toBeCloseTo(0, 12);
    expect(ratioTo("nobody", mine, chat)).toBeUndefined();
  });

  test("orders policies by their geometric mean over all loads, with the worst", () => {
    const rows = overall(GROUPS, "oracle").map(({ policy, mean, worst }) => [
      policy,
      mean.toFixed(3),
      worst.toFixed(2),
    ]);
    expect(rows).toEqual([
      ["mine", Math.sqrt(1.1 * 0.8).toFixed(3), "1.10"],
      ["oracle", "1.000", "1.00"],
      ["other", "2.000", "2.00"],
    ]);
  });
});

describe("the report for a terminal", () => {
  const lines = textReport(GROUPS, "oracle").split("\n");

  test("has a table for each load, the fastest policy first, and one over all", () => {
    const heads = lines.filter((line) => /^(chat|rag|all loads)/.test(line));
    expect(heads).toHaveLength(3);
    expect(heads[0]).toBe(
      "chat: 1000 requests in 50.0 s a seed, 2 seeds; no policy can be below 10.0 ms (idle engines, one endless cache: hit rate 80.0 %)",
    );
    const rag = lines.slice(lines.findIndex((line) => line.startsWith("rag")) + 4).slice(0, 3);
    expect(rag.map((line) => line.split(" ")[0])).toEqual(["mine", "oracle", "other"]);
  });

  test("has the confidence where there are several seeds, and columns that line up", () => {
    const mine = lines.find((line) => line.startsWith("mine"));
    expect(mine).toMatch(/^mine +165 ±699 .* 1\.10 ±0\.00$/);
    const rule = lines.findIndex((line) => line.startsWith("---"));
    expect(lines[rule - 1]?.length).toBeLessThanOrEqual(lines[rule]?.length ?? 0);
    expect(lines[rule]?.endsWith("-")).toBe(true);
  });

  test("leaves the least important columns out where the terminal is narrow, and says so", () => {
    const headAt = (width: number): string =>
      textReport(GROUPS, "oracle", width)
        .split("\n")
        .find((line) => line.startsWith("policy")) ?? "";
    const [all, some, few] = [500, 100, 70].map(headAt);
    expect(all).toContain("us/choice");
    expect(some).not.toContain("us/choice");
    for (const head of ["TTFT mean ms", "p99", "goodput", "hit rate", "failed", "/ oracle"])
      expect(few).toContain(head);
    expect([some?.length, few?.length].map((length = 0, at) => length < (at === 0 ? 100 : 70))).toEqual([true, true]);
    expect(textReport(GROUPS, "oracle", 70)).toContain("(the terminal is narrow");
    expect(textReport(GROUPS, "oracle", 500)).toBe(textReport(GROUPS, "oracle"));
  });

  test("has no ratio where the baseline was not run", () => {
    const alone = groupsOf([madeOutcome({ load: "chat", policy: "mine", seed: 1, meanMs: 5 })]);
    expect(textReport(alone, "oracle")).toMatch(/^mine .* -$/m);
  });
});

/** The names of all members, with those of what is in them after a dot. */
function namesOf(value: unknown, before = ""): string[] {
  if (Array.isArray(value)) return namesOf(value[0], `${before}[]`);
  if (typeof value !== "object" || value === null) return [before];
  return Object.entries(value).flatMap(([name, one]) => namesOf(one, before === "" ? name : `${before}.${name}`));
}

test("the JSON has these members: a program that reads them may rely on it", () => {
  const job: Job = {
    ...USUAL_SITUATION,
    durationSecs: 5,
    load: "chat",
    isTrace: false,
    policy: "mine",
    seed: 1,
    rate: 1,
  };
  const jobs: Job[] = [
    { ...job, slo: { ttftMs: 1, tpotMs: 2 }, faults: [{ kind: "slow", worker: 1, atMs: 5, slowness: 3 }] },
  ];
  const report: unknown = JSON.parse(jsonReport(GROUPS, { version: "1.2.3", baseline: "oracle", jobs }));
  const spread = ["mean", "p50", "p90", "p99"];
  const seeds = "groups[].policies[].seeds[]";
  expect(namesOf(report)).toEqual([
    ...["format", "format_version", "version", "baseline"],
    ...[
      "workers",
      "kv_tokens",
      "slowness",
      "prefill_workers",
      "hand_over_us",
      "gateways",
      "news_ms",
      "model",
      "reports_usage",
    ].map((name) => `situation.${name}`),
    "situation.kv_report_factor",
    ...["kind", "worker", "at_ms", "slowness"].map((name) => `situation.faults[].${name}`),
    ...["slo.ttft_ms", "slo.tpot_ms", "stream", "closed_loop"].map((name) => `situation.${name}`),
    ...["load", "rate", "duration_secs", "warmup_secs", "policies[].policy"].map((name) => `groups[].${name}`),
    ...["ttft_mean_ms.mean", "ttft_mean_ms.half", "ratio.mean", "ratio.half"].map(
      (name) => `groups[].policies[].${name}`,
    ),
    ...["seed", "took_ms"].map((name) => `${seeds}.${name}`),
    ...spread.map((name) => `${seeds}.ttft_ms.${name}`),
    ...spread.map((name) => `${seeds}.tpot_ms.${name}`),
    ...["requests", "failed", "retries", "preemptions", "bound_ms", "goodput", "hit_rate", "ideal_hit_rate"].map(
      (name) => `${seeds}.${name}`,
    ),
    ...["max_share", "hotspot"].map((name) => `${seeds}.${name}`),
    ...spread.map((name) => `${seeds}.decision_us.${name}`),
    ...["prediction_error_ms", "ttft_distribution_ms[]"].map((name) => `${seeds}.${name}`),
    ...["policy", "mean", "worst"].map((name) => `overall[].${name}`),
  ]);
});

test("the JSON has each figure of each seed, and parses", () => {
  const report: unknown = JSON.parse(jsonReport(GROUPS, { version: "1.2.3", baseline: "oracle", jobs: [] }));
  expect(report).toMatchObject({
    version: "1.2.3",
    baseline: "oracle",
    groups: [
      {
        load: "chat",
        rate: 1,
        duration_secs: 60,
        policies: [
          { policy: "oracle", ratio: { mean: 1, half: 0 } },
          {
            policy: "mine",
            ttft_mean_ms: { mean: 165 },
            seeds: [
              { seed: 1, ttft_ms: { mean: 110 } },
              { seed: 2, ttft_ms: { mean: 220 } },
            ],
          },
        ],
      },
      { load: "rag", policies: [{ ttft_mean_ms: { mean: 50, half: null } }, {}, {}] },
    ],
    overall: [{ policy: "mine" }, { policy: "oracle" }, { policy: "other" }],
  });
});
