/**
 * `bun run scripts/routing-pictures.ts`: makes the figures of the pages anew with the simulator: the pictures of docs/routing.md, and its
 * table; names of pictures, or `table`, behind it make only these. It takes some minutes, and prints the tables behind
 * them. The results are the same on each machine.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Job, USUAL_SITUATION } from "../src/simulate/job.ts";
import { expandGroups } from "../src/simulate/named-policies.ts";
import { CHART_STYLE } from "../src/simulate/report/chart-style.ts";
import { goodputChart, loadMaps, ratioChart, ttftChart } from "../src/simulate/report/charts.ts";
import { SeriesStyles, standalone, tiled } from "../src/simulate/report/svg.ts";
import { textReport } from "../src/simulate/report/text-report.ts";
import { runJobs, spawnJobThread } from "../src/simulate/run-jobs.ts";
import { figure, type Group, groupsOf, overall, ratioTo } from "../src/simulate/study.ts";

const DOCS = join(import.meta.dir, "../docs");
const FOLDER = join(DOCS, "pictures");
const BASELINE = "oracle";
const OURS = ["least_ttft", "cache_aware", "round_robin"];
const OTHERS = ["smg", "gie", "llmd", "dynamo"];
/** In this order they have the same colors in each picture. */
const STYLES = new SeriesStyles([...OURS, ...OTHERS, BASELINE], BASELINE);

const USUAL: Omit<Job, "load" | "policy" | "seed" | "rate"> = {
  isTrace: false,
  ...USUAL_SITUATION,
  durationSecs: 240,
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

async function run(load: string, policies: readonly string[], rates: readonly number[]): Promise<Group[]> {
  const jobs = rates.flatMap((rate) =>
    policies.flatMap((policy) => [1, 2, 3].map((seed): Job => ({ ...USUAL, load, policy, seed, rate }))),
  );
  const groups = groupsOf(
    await runJobs(
      jobs,
      availableParallelism(),
      () => undefined,
      () => spawnJobThread({ traces: new Map(), policyModule: undefined }),
    ),
  );
  process.stdout.write(`${textReport(groups, BASELINE)}\n`);
  return groups;
}

/** Names on the command line, of pictures or `table`, make only these. */
const only = process.argv.slice(2);
const isWanted = (name: string): boolean => only.length === 0 || only.includes(name);

mkdirSync(FOLDER, { recursive: true });
for (const { file, load, policies, rates, draw } of PICTURES.filter((one) => isWanted(one.file))) {
  const drawing = draw(await run(load, policies, rates));
  if (drawing === undefined) throw new Error(`${file}: there is nothing to draw`);
  writeFileSync(join(FOLDER, file), standalone(drawing, CHART_STYLE));
}

/** Loads of the table, in the order of its columns. */
const TABLE_LOADS = ["chat", "agent", "rag", "unique", "agentslow3", "heavytail", "hetero", "hotshift", "toolagents"];

/** `least_ttft` and the formulas of other gateways. */
const TABLE_POLICIES = [BASELINE, ...OURS.slice(0, 1), ...expandGroups(["peers"])];

const groups: Group[] = [];
for (const load of isWanted("table") ? TABLE_LOADS : []) groups.push(...(await run(load, TABLE_POLICIES, [1])));
if (groups.length > 0) {
  const page = join(DOCS, "routing.md");
  const text = readFileSync(page, "utf8");
  writeFileSync(page, text.replace(/(<!-- simulated -->\n)[\s\S]*?(<!-- end -->)/, `$1\n${ratioTable()}\n$2`));
}

/** For each policy its mean TTFT as a ratio to the oracle's, the best in the geometric mean first. */
function ratioTable(): string {
  const lines = overall(groups, BASELINE)
    .filter(({ policy }) => policy !== BASELINE)
    .map(({ policy }) => `| \`${policy}\` | ${groups.map((group) => ratioText(policy, group)).join(" | ")} |`);
  const oracle = groups.map((group) => {
    const cell = group.cells.find(({ policy }) => policy === BASELINE);
    return cell ? figure(cell, ({ summary }) => summary.ttft.mean).mean.toFixed(0) : "-";
  });
  const heads = ["policy", ...TABLE_LOADS].join(" | ");
  return [
    `| ${heads} |`,
    `|${"---|".repeat(TABLE_LOADS.length + 1)}`,
    ...lines,
    `| oracle, ms | ${oracle.join(" | ")} |`,
    "",
  ].join("\n");
}

function ratioText(policy: string, group: Group): string {
  const cell = group.cells.find((one) => one.policy === policy);
  const { mean = Number.NaN } = (cell && ratioTo(BASELINE, cell, group)) ?? {};
  return mean < 10 ? mean.toFixed(2) : mean.toFixed(0);
}
