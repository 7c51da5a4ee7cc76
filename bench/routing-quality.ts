/**
 * How soon clients get their first token behind each gateway. Every gateway stands before eight engines of its own, which answer in real
 * time with the pace and the KV cache of `simulate`'s engines; all gateways get the same sessions at the same time, so whatever else the
 * machine does hits all of them. Results go to .bench/results/routing-quality.json, tables to standard output.
 *
 *   bun bench/routing-quality.ts [--loads agent,rag] [--seeds 1,2,3] [--seconds N] [--targets ...] [--conversation FILE] [--synthetic FILE]
 *
 * The last two are files of Mooncake's traces with these names; without them their loads are left out.
 */
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { QUALITY_LOADS } from "./quality/quality-loads.ts";
import { compareOn, type Run } from "./quality/compare-on.ts";
import { QUALITY_TARGETS } from "./quality/quality-targets.ts";
import { qualityReport } from "./quality/quality-report.ts";

const { values } = parseArgs({
  options: {
    loads: { type: "string", default: QUALITY_LOADS.map(({ name }) => name).join(",") },
    seeds: { type: "string", default: "1,2,3" },
    seconds: { type: "string" },
    targets: { type: "string", default: QUALITY_TARGETS.map(({ name }) => name).join(",") },
    conversation: { type: "string" },
    synthetic: { type: "string" },
  },
});
const logs = mkdtempSync(join(tmpdir(), "pointsman-quality-"));
const names = values.targets.split(",");
const targets = QUALITY_TARGETS.filter(({ name }) => names.includes(name));
const traces: Readonly<Record<string, string | undefined>> = {
  conversation: values.conversation,
  synthetic: values.synthetic,
};
const runs: Run[] = [];
for (const name of values.loads.split(",")) {
  const row = QUALITY_LOADS.find((one) => one.name === name);
  if (!row) throw new Error(`no load is called ${name}`);
  const trace = traces[name];
  if (row.isTrace && trace === undefined) {
    console.error(`${name}: --${name} names no file, left out`);
    continue;
  }
  for (const seed of values.seeds.split(",").map(Number)) {
    const seconds = Number(values.seconds ?? row.seconds);
    console.error(`${name}, seed ${seed}, ${seconds} s ...`);
    runs.push(...(await compareOn({ load: name, trace, seed, seconds, targets, logs })));
  }
}
const results = join(import.meta.dir, "../.bench/results");
mkdirSync(results, { recursive: true });
await Bun.write(
  join(results, "routing-quality.json"),
  JSON.stringify({ at: new Date().toISOString(), runs }, undefined, 1),
);
console.log(qualityReport(runs));
