import { expect, test } from "bun:test";
import type { Run } from "./compare-on.ts";
import { qualityReport } from "./quality-report.ts";

function run(target: string, ttftMs: readonly number[], rest: Partial<Run> = {}): Run {
  const sessions = ttftMs.map((_, index) => index);
  const base = { load: "rag", seed: 1, target, isPeer: target !== "least_ttft", failures: 0, failure: null };
  return { ...base, ttftMs, sessions, ...rest };
}

test("the mean of the seeds is compared with that of the best other gateway", () => {
  const report = qualityReport([
    run("least_ttft", [60, 100]),
    run("least_ttft", [80], { seed: 2 }),
    run("smg", [100, 100]),
    run("vllm-router", [300, 300]),
  ]);
  expect(report).toContain("| least_ttft | 3 | 0 | 80 |");
  expect(report).toContain("| rag | smg | 0.80 (0.60 to 1.00) | 0.85 |");
});

test("a bound is not met for certain with a failed request, a worse p99 or a higher mean", () => {
  const peer = run("smg", [100, 100]);
  expect(qualityReport([run("least_ttft", [50, 50]), peer])).toContain("| 1 | 0 | yes |");
  expect(qualityReport([run("least_ttft", [50, 50], { failures: 1 }), peer])).toContain("| 1 | **no** |");
  expect(qualityReport([run("least_ttft", [120, 150]), peer])).toContain("**no**");
  expect(qualityReport([run("least_ttft", [90, 90]), peer])).toContain("**no**");
});

test("where the interval of a ratio is on both sides of a bound, it is said", () => {
  const peer = run("smg", [100, 100, 100]);
  expect(qualityReport([run("least_ttft", [10, 10, 150]), peer])).toContain("| no, not for certain |");
  expect(qualityReport([run("least_ttft", [70, 75, 95]), peer])).toContain("| yes, not for certain |");
});
