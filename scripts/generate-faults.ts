/**
 * Writes docs/faults.md from the rows (`test/faults/rows.ts`), the names of the tests, and what the last recorded run
 * saw (`test/faults/observed.json`). With `--run` it runs the suite first and records it anew.
 *
 *   bun run scripts/generate-faults.ts [--run [PART OF A FILE NAME ...]]
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { type FaultRow, SECTIONS } from "../test/faults/rows.ts";

const ROOT = join(import.meta.dir, "..");
const SUITE = join(ROOT, "test/faults");
const OBSERVED = join(SUITE, "observed.json");
const PAGE = join(ROOT, "docs/faults.md");

/** A test that names rows of the matrix. */
interface NamedTest {
  readonly file: string;
  readonly rows: readonly number[];
  /** What follows the rows; `…` for what its cases fill in. */
  readonly name: string;
  /** Known not to hold: the runner would tell if it did. */
  readonly isFailing: boolean;
}

/** What a file's tests saw, by row. */
const notesSchema = z.record(z.string(), z.array(z.string()));
type Notes = z.output<typeof notesSchema>;
const recordedSchema = z.object({ ranOn: z.string(), files: z.record(z.string(), notesSchema) });
export type Recorded = z.output<typeof recordedSchema>;
/** A line of what `observe` keeps. */
const noteSchema = z.object({ row: z.number(), what: z.string() });

/** Tests that name a row, in the order of files and lines. Cases of a table name it in their keys. */
export function namedTests(): NamedTest[] {
  return suiteFiles().flatMap((file) => testsIn(file, readFileSync(join(SUITE, file), "utf8")));
}

function suiteFiles(): string[] {
  return readdirSync(SUITE)
    .filter((name) => name.endsWith(".test.ts"))
    .toSorted();
}

/** What was seen of a row, over all files. */
export function seenOf({ files }: Recorded, row: number): string[] {
  return Object.values(files).flatMap((notes) => notes[row] ?? []);
}

function testsIn(file: string, source: string): NamedTest[] {
  return [...source.matchAll(TITLE)].map(({ groups }) => ({
    file,
    rows: (groups?.["rows"] ?? "").split(", ").map(Number),
    name: (groups?.["name"] ?? "").replaceAll(/\$\{[^}]*\}/g, "…").replaceAll("\\`", "`"),
    isFailing: groups?.["failing"] !== undefined,
  }));
}

const TITLE =
  /(?<failing>test\.failing\(\s*)?(?<quote>["`])rows? (?<rows>\d+(?:, \d+)*): (?<name>(?:\\`|(?!\k<quote>).)+)\k<quote>/g;

export function recorded(): Recorded {
  return recordedSchema.parse(JSON.parse(readFileSync(OBSERVED, "utf8")));
}

/** The page. */
export function faultsPage(tests: readonly NamedTest[], seen: Recorded): string {
  const lines = [
    "# Faults",
    "",
    "What is done to the gateway as a process, what it is held to, the tests that hold it, and what the last recorded run saw. Made from `test/faults/` by `bun run scripts/generate-faults.ts`; with `--run` it runs the suite and records it anew.",
    "",
    `Recorded on ${seen.ranOn}; times are those of a machine that does other things as well. Generations and attempts are counted at the workers, memory is what the kernel says of the process. Each file runs one gateway through all of its faults and ends with a request to that same process; where ending the gateway is the fault, another one that shares its workers is asked.`,
    "",
    "Tests that are marked **not held** run as well, and tell when that changes.",
  ];
  for (const { title, rows } of SECTIONS) {
    lines.push("", `## ${title}`);
    const applying = rows.filter(({ expected }) => expected !== undefined);
    if (applying.length > 0) {
      lines.push("", "| row | fault | expected | tests | observed |", "|---|---|---|---|---|");
      for (const row of applying) lines.push(lineOf(row, tests, seen));
    }
    const others = rows.filter(({ reason }) => reason !== undefined);
    if (others.length > 0) {
      lines.push("", "Cannot happen here:", "", "| row | fault | reason |", "|---|---|---|");
      for (const { row, fault, reason } of others) lines.push(`| ${row} | ${fault} | ${reason} |`);
    }
  }
  return `${lines.join("\n")}\n\n${FOOT}`;
}

function lineOf({ row, fault, expected, deviation }: FaultRow, tests: readonly NamedTest[], seen: Recorded): string {
  const cells = [
    String(row),
    fault,
    `${expected}${deviation === undefined ? "" : `<br>**Less than asked:** ${deviation}`}`,
    testsCell(tests.filter(({ rows }) => rows.includes(row))),
    seenOf(seen, row).join("<br>"),
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function testsCell(tests: readonly NamedTest[]): string {
  const files = [...new Set(tests.map(({ file }) => file))];
  return files
    .map((file) => {
      const names = tests.filter((test) => test.file === file);
      return [`\`${file}\``, ...names.map(({ name, isFailing }) => `${isFailing ? "**not held:** " : ""}${name}`)];
    })
    .map((parts) => parts.join("<br>"))
    .join("<br>");
}

/** Checked by hand with other people's tools, which are no dependencies. */
const FOOT = readFileSync(join(SUITE, "cross-checks.md"), "utf8");

/** Runs one file of the suite and returns what its tests noted. Throws where it fails. */
async function run(file: string): Promise<Notes> {
  const scratch = mkdtempSync(join(tmpdir(), "pointsman-faults-"));
  const path = join(scratch, file);
  const runner = Bun.spawn([process.execPath, "test", "--timeout", "20000", join(SUITE, file)], {
    stdout: "inherit",
    stderr: "inherit",
    env: { ...process.env, POINTSMAN_FAULT_OBSERVATIONS: path, BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" },
  });
  if ((await runner.exited) !== 0) throw new Error(`${file} failed: what it saw is not recorded`);
  const rows = new Map<number, Set<string>>();
  for (const line of readFileSync(path, "utf8").trimEnd().split("\n")) {
    const { row, what } = noteSchema.parse(JSON.parse(line));
    rows.set(row, (rows.get(row) ?? new Set()).add(what));
  }
  rmSync(scratch, { recursive: true, force: true });
  return Object.fromEntries([...rows].map(([row, what]) => [String(row), [...what]]));
}

/** Records the files whose names contain one of these, or all of them, and keeps what was recorded of the others. */
async function record(parts: readonly string[]): Promise<void> {
  const old = existsSync(OBSERVED) ? recorded().files : {};
  const files: Record<string, Notes> = {};
  for (const file of suiteFiles()) {
    const isWanted = parts.length === 0 || parts.some((part) => file.includes(part));
    const notes = isWanted ? await run(file) : old[file];
    if (notes) files[file] = notes;
  }
  const ranOn = `Bun ${Bun.version}, ${process.platform} ${process.arch}, ${availableParallelism()} cores`;
  await Bun.write(OBSERVED, `${JSON.stringify({ ranOn, files }, undefined, 2)}\n`);
}

if (import.meta.main) {
  const [option, ...parts] = process.argv.slice(2);
  if (option === "--run") await record(parts);
  await Bun.write(PAGE, faultsPage(namedTests(), recorded()));
}
