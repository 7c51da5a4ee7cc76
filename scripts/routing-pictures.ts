/**
 * `bun run scripts/routing-pictures.ts`: draws the pictures of docs/routing.md anew with the simulator, and prints the tables that the
 * pages quote. It takes some minutes. Pictures are the same on each machine; only the times of decisions are not in them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Job } from "../src/simulate/job.ts";
import { CHART_STYLE } from "../src/simulate/report/chart-style.ts";
import { goodputChart, loadMaps, ratioChart, ttftChart } from "../src/simulate/report/charts.ts";
import { SeriesStyles, standalone, tiled } from "../src/simulate/report/svg.ts";
import { textReport } from "../src/simulate/report/text-report.ts";
import { runJobs } from "../src/simulate/run-jobs.ts";
import { type Group, groupsOf } from "../src/simulate/study.ts";

const FOLDER = join(import.meta.dir, "../docs/pictures");
const BASELINE = "oracle";
const OURS = ["least_ttft", "cache_aware", "round_robin"];
const OTHERS = ["smg", "gie", "llmd", "dynamo"];
/** In this order they have the same colors in each picture. */
const STYLES = new SeriesStyles([...OURS, ...OTHERS, BASELINE], BASELINE);

const USUAL: Omit<Job, "load" | "policy" | "seed" | "rate"> = {
  isTrace: false,
  durationSecs: 160,
  workers: undefined,
  kvTokens: undefined,
  slowness: 1,
  prefillWorkers: 0,
  handOverUs: 10,
  gateways: 1,
  newsMs: undefined,
  isStream: true,
  reportsUsage: true,
  kvReportFactor: 1,
  faults: [],
  slo: undefined,
};

interface Picture {
  readonly file: string;
  readonly load: string;
  readonly policies: readonly string[];
  readonly rates: readonly number[];
  readonly draw: (groups: readonly Group[]) => string | undefined;
}

const PICTURES: readonly Picture[] = [
  {
    file: "ttft-agents.svg",
    load: "agent",
    policies: [BASELINE, ...OURS, ...OTHERS],
    rates: [1],
    draw: ([group]) => group && ttftChart(group, STYLES),
  },
  {
    file: "ratio-slow-worker.svg",
    load: "agentslow3",
    policies: [BASELINE, ...OURS, ...OTHERS],
    rates: [1],
    draw: ([group]) => group && ratioChart(group, BASELINE, STYLES),
  },
  {
    file: "goodput-agents.svg",
    load: "agent",
    policies: [...OURS, ...OTHERS],
    rates: [0.8, 1.2, 1.6, 2, 2.4],
    draw: (groups) => goodputChart(groups, STYLES),
  },
  {
    file: "goodput-two-generations.svg",
    load: "hetero",
    policies: [...OURS, ...OTHERS],
    rates: [0.6, 0.8, 1, 1.2, 1.4],
    draw: (groups) => goodputChart(groups, STYLES),
  },
  {
    file: "load-hot-document.svg",
    load: "hotshift",
    policies: ["least_ttft", "cache_aware", "gie", "round_robin"],
    rates: [1],
    draw: ([group]) => group && tiled(loadMaps(group), 2, 320, 176),
  },
];

mkdirSync(FOLDER, { recursive: true });
for (const { file, load, policies, rates, draw } of PICTURES) {
  const jobs = rates.flatMap((rate) =>
    policies.flatMap((policy) => [1, 2, 3].map((seed): Job => ({ ...USUAL, load, policy, seed, rate }))),
  );
  const groups = groupsOf(await runJobs(jobs, availableParallelism(), () => undefined));
  const drawing = draw(groups);
  if (drawing === undefined) throw new Error(`${file}: there is nothing to draw`);
  writeFileSync(join(FOLDER, file), standalone(drawing, CHART_STYLE));
  process.stdout.write(`${file}\n\n${textReport(groups, BASELINE)}\n`);
}
