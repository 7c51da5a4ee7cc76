import { describe, expect, test } from "bun:test";
import { madeOutcome } from "../../test/support/outcomes.ts";
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
      "chat: 1000 requests a seed, 2 seeds; no policy can be below 10.0 ms (idle engines, one endless cache: hit rate 80.0 %)",
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

  test("has no ratio where the baseline was not run", () => {
    const alone = groupsOf([madeOutcome({ load: "chat", policy: "mine", seed: 1, meanMs: 5 })]);
    expect(textReport(alone, "oracle")).toMatch(/^mine .* -$/m);
  });
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
              { seed: 1, ttft: { mean: 110 } },
              { seed: 2, ttft: { mean: 220 } },
            ],
          },
        ],
      },
      { load: "rag", policies: [{ ttft_mean_ms: { mean: 50, half: null } }, {}, {}] },
    ],
    overall: [{ policy: "mine" }, { policy: "oracle" }, { policy: "other" }],
  });
});
