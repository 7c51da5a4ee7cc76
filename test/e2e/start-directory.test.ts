import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BIN, startProcess } from "../support/process.ts";

const CANARY = "code-of-the-directory-ran";

/** A directory whose owner would have the gateway run code of theirs, or take options of theirs. */
function hostileDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "pointsman-hostile-"));
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  const code = `console.log("${CANARY}");\n`;
  write("evil.ts", code);
  write("bunfig.toml", 'preload = ["./evil.ts"]\n');
  write(".bunfig.toml", `preload = ["${directory}/evil.ts"]\n`);
  write("tsconfig.json", '{"compilerOptions":{"baseUrl":".","paths":{"*":["./evil.ts"]}}}');
  for (const name of [".env", ".env.local", ".env.production"]) write(name, "POINTSMAN_QUEUE_SIZE=77\n");
  for (const name of ["zod", "commander", "yaml"]) {
    mkdirSync(join(directory, "node_modules", name), { recursive: true });
    write(join("node_modules", name, "index.js"), code);
  }
  return directory;
}

test("nothing of the directory where it is started, or of the user's home, is run or taken for an option", async () => {
  const directory = hostileDirectory();
  const check = Bun.spawn([BIN, "check"], {
    cwd: directory,
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, HOME: directory, XDG_CONFIG_HOME: directory },
  });
  const [out, err] = await Promise.all([check.stdout.text(), check.stderr.text()]);
  expect([await check.exited, (out + err).includes(CANARY), out.includes("queue_size: 77")]).toEqual([0, false, false]);
});

test("SIGQUIT drains as SIGTERM does", async () => {
  await using gateway = await startProcess(["--shutdown-delay-secs", "0"]);
  gateway.signal("SIGQUIT");
  expect(await gateway.exited).toBe(0);
  expect(gateway.output).toContain('"signal":"SIGQUIT"');
});
