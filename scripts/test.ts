/**
 * Runs every test and ends with the line `N passed, N failed`, counted from the runner's own report. No test run is a
 * failure, whatever the runner's exit code says.
 *
 *   npm test [-- PATH ...]
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const scratch = mkdtempSync(join(tmpdir(), "pointsman-test-"));
const report = join(scratch, "junit.xml");
const paths = process.argv.slice(2);
const runner = Bun.spawn(
  [
    process.execPath,
    "test",
    "--timeout",
    "20000",
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    ...(paths.length > 0 ? paths : ["src", "test", "bench"]),
  ],
  { stdout: "inherit", stderr: "inherit", env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" } },
);
const exitCode = await runner.exited;

function count(attribute: string): number {
  // The root element carries the totals of all files.
  const root = /<testsuites[^>]*>/.exec(read())?.[0] ?? "";
  return Number(new RegExp(`${attribute}="(\\d+)"`).exec(root)?.[1] ?? 0);
}

function read(): string {
  try {
    return readFileSync(report, "utf8");
  } catch {
    // The runner ended before it wrote: nothing is counted, which is a failure below.
    return "";
  }
}

const failed = count("failures") + count("errors");
const skipped = count("skipped");
const passed = count("tests") - failed - skipped;
rmSync(scratch, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
// A file that does not even load fails the runner without a test that failed.
process.exit(exitCode !== 0 || failed > 0 || passed === 0 ? 1 : 0);
