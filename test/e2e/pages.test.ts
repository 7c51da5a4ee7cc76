import { expect, test } from "bun:test";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
/** The pages whose commands are all run. */
const PAGES = ["docs/quickstart.md", "docs/migration.md"];

/** A network and processes of its own: every port is free, and what a page starts ends with it. */
const APART = [
  "unshare",
  "--net",
  "--pid",
  "--fork",
  "--kill-child",
  "sh",
  "-c",
  'ip link set lo up && exec "$0" "$@"',
];
const canRun =
  process.getuid?.() === 0 && Bun.spawnSync([...APART, "true"]).exitCode === 0 && Bun.which("curl") !== null;

for (const page of PAGES) {
  test.skipIf(!canRun)(
    `the commands of ${page} do what it says`,
    async () => {
      const child = Bun.spawn([...APART, process.execPath, "test/support/run-page.ts", page], {
        cwd: ROOT,
        stdout: "pipe",
        stderr: "inherit",
      });
      expect([await child.stdout.text(), await child.exited]).toEqual(["", 0]);
    },
    60_000,
  );
}
