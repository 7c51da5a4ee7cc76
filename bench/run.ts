/**
 * What the gateway costs, beside a plain proxy and the Rust gateways of the field. All gateways of a section stand before the
 * same engines and take turns in every round. Results go to .bench/results/, the report to standard output.
 *
 *   bun bench/run.ts [--sections a,b] [--rounds 3] [--targets pointsman,nginx,...] [--resume] [--max-minutes 20]
 *
 * Each section has a time after which it begins no more rounds, and after `--max-minutes` no more sections are begun.
 * `--resume` leaves out the sections whose last run came to its end and was of no fewer rounds.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BenchRun, type BenchRunDeps } from "./lib/bench-run.ts";
import { ALL_TARGETS } from "./lib/bounds.ts";
import { startEngines } from "./lib/engines.ts";
import { report } from "./lib/report-text.ts";
import { Results } from "./lib/results.ts";
import type { Section } from "./lib/section.ts";
import { sectionsOf } from "./lib/sections.ts";
import { freePort } from "./lib/targets.ts";

const { values } = parseArgs({
  options: {
    sections: { type: "string" },
    rounds: { type: "string", default: "3" },
    targets: { type: "string", default: ALL_TARGETS.join(",") },
    "max-minutes": { type: "string", default: "20" },
    resume: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const sections = sectionsOf(values.sections);
const due = sections.filter(({ name }) => !values.resume || !isMeasured(name));
const logs = mkdtempSync(join(tmpdir(), "pointsman-bench-"));
const engines = await startEngines(logs, { firstPort: freePort(), ports: 1, addresses: 2 });
const deps = {
  engines: engines.urls,
  enginesPid: engines.program.pid,
  logs,
  rounds,
  targets: values.targets.split(","),
};
const until = performance.now() + Number(values["max-minutes"]) * 60_000;
const failed: string[] = [];
try {
  for (const section of due) {
    if (performance.now() > until || !(await runSection(section, deps))) failed.push(section.name);
  }
} finally {
  await engines.program.stop();
}
console.log(report(sections));
if (failed.length > 0) console.error(`not to their end: ${failed.join(", ")}; what programs said is in ${logs}`);
process.exit(failed.length > 0 ? 1 : 0);

/** To its end, by a run that wanted no fewer rounds. */
function isMeasured(name: string): boolean {
  const results = Results.read(name);
  return results?.end !== undefined && (results.start?.rounds ?? 0) >= rounds;
}

/** False where it did not come to its end: the others are measured all the same. */
async function runSection(section: Section, deps: BenchRunDeps): Promise<boolean> {
  const from = performance.now();
  console.error(`${section.name} ...`);
  try {
    await using bench = new BenchRun(section, deps);
    await section.measure(bench);
    bench.end();
    return true;
  } catch (error) {
    console.error(`  ${String(error)}`);
    return false;
  } finally {
    console.error(`  ${((performance.now() - from) / 1000).toFixed(0)} s`);
  }
}
