/**
 * The report of what was measured last, without measuring anything: `bun bench/report.ts [--sections a,b] [--write]`.
 * `--write` puts it into docs/benchmarks.md, between the marks.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { report } from "./lib/report-text.ts";
import { sectionsOf } from "./lib/sections.ts";

const BEGIN = "<!-- bench/report.ts begins -->";
const END = "<!-- bench/report.ts ends -->";

const { values } = parseArgs({ options: { sections: { type: "string" }, write: { type: "boolean", default: false } } });
const text = report(sectionsOf(values.sections));
if (values.write) await write(text);
else console.log(text);

async function write(text: string): Promise<void> {
  const page = Bun.file(join(import.meta.dir, "../docs/benchmarks.md"));
  const before = await page.text();
  const [begin, end] = [before.indexOf(BEGIN), before.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error("docs/benchmarks.md has no marks");
  await page.write(`${before.slice(0, begin + BEGIN.length)}\n\n${text}\n${before.slice(end)}`);
}
