import { expect, test } from "bun:test";
import type { Run } from "./compare-on.ts";
import { qualityReport } from "./quality-report.ts";

function run(target: string, ttftMs: readonly number[], rest: Partial<Run> = {}): Run {
  return { load: "rag", seed: 1, target, isPeer: target !== "least_ttft", ttftMs, failures: 0, failure: null, ...rest };
}

test("the mean of the seeds is compared with that of the best other gateway", () => {
  const report = qualityReport([
    run("least_ttft", [60, 100]),
    run("least_ttft", [80], { seed: 2 }),
    run("smg", [100, 100]),
    run("vllm-router", [300, 300]),
  ]);
  expect(report).toContain("| least_ttft | 3 | 0 | 80 |");
  expect(report).toContain("| rag | smg | 0.80 | 0.85 | 0.90 | 0 | yes |");
});

test("a bound is not met with a failed request, a worse p99 or a higher mean", () => {
  const peer = run("smg", [100, 100]);
  expect(qualityReport([run("least_ttft", [50], { failures: 1 }), peer])).toContain("| 1 | **no** |");
  expect(qualityReport([run("least_ttft", [10, 10, 150]), peer])).toContain("**no**");
  expect(qualityReport([run("least_ttft", [90]), peer])).toContain("**no**");
});
