import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configSchema } from "../../src/config/schema.ts";
import { BIN } from "../support/process.ts";

const UNIT = readFileSync(join(import.meta.dir, "../../deploy/systemd/pointsman.service"), "utf8");

/** The value of a line of the unit. */
function valueOf(name: string): string | undefined {
  return new RegExp(`^${name}=(.*)$`, "m").exec(UNIT)?.[1];
}

test("the unit gives the gateway more time than its drain takes, and starts it again when an early reload ends it", () => {
  const { shutdownDelaySecs, shutdownGracePeriodSecs } = configSchema.parse({});
  expect(Number(valueOf("TimeoutStopSec"))).toBeGreaterThan(shutdownDelaySecs + shutdownGracePeriodSecs);
  expect(valueOf("ExecReload")).toContain("-HUP $MAINPID");
  // systemd takes an end by SIGHUP for a clean one, after which `Restart=on-failure` does nothing.
  expect([valueOf("Restart"), valueOf("RestartForceExitStatus")]).toEqual(["on-failure", "SIGHUP"]);
});

const analyze = Bun.which("systemd-analyze");
const title = "systemd takes the unit, and rates it as little exposed";
test.skipIf(analyze === null)(analyze === null ? `${title} (skipped: there is no systemd-analyze)` : title, () => {
  const folder = mkdtempSync(join(tmpdir(), "pointsman-unit-"));
  try {
    const file = join(folder, "pointsman.service");
    // The program must be there.
    writeFileSync(file, UNIT.replaceAll("/usr/local/bin/pointsman", BIN));
    const verified = Bun.spawnSync(["systemd-analyze", "verify", file]);
    expect([verified.exitCode, verified.stderr.toString()]).toEqual([0, ""]);
    const rated = Bun.spawnSync([
      "systemd-analyze",
      "security",
      "--offline=true",
      "--no-pager",
      "--threshold=25",
      file,
    ]);
    expect([rated.exitCode, rated.stdout.toString()]).toEqual([
      0,
      expect.stringMatching(/exposure level .*: [01]\.\d OK/),
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
