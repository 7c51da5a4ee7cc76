/**
 * Runs the commands of a page in order, as its reader would: `bun test/support/run-page.ts PAGE`, in a network of its own, where every port
 * is free. A block ```sh runs to its end and must succeed. A block ```sh background starts a gateway, which runs until the next such block.
 * A block ```sh cluster wants a cluster, and is read but not run. Prints what failed, and exits with 1.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const READY_MS = 10_000;

interface Block {
  readonly kind: string;
  readonly commands: string;
}

function blocksOf(page: string): Block[] {
  return Array.from(page.matchAll(/^```sh ?(\w*)\n([\s\S]*?)^```$/gm), ([, kind = "", commands = ""]) => ({
    kind,
    commands,
  }));
}

const folder = mkdtempSync(join(tmpdir(), "pointsman-page-"));
for (const entry of readdirSync(ROOT)) if (!entry.startsWith(".")) symlinkSync(join(ROOT, entry), join(folder, entry));
const env = { ...process.env, PATH: `${join(ROOT, "bin")}:${process.env["PATH"]}` };
const started: Bun.Subprocess[] = [];
let gateway: Bun.Subprocess | undefined;

async function startGateway(commands: string): Promise<string | undefined> {
  gateway?.kill("SIGKILL");
  await gateway?.exited;
  gateway = Bun.spawn(["bash", "-c", `exec ${commands.trim()}`], {
    cwd: folder,
    env,
    stdout: "ignore",
    stderr: "inherit",
  });
  for (const until = performance.now() + READY_MS; performance.now() < until; await Bun.sleep(50)) {
    const reply = await fetch("http://127.0.0.1:30000/readiness").catch(() => undefined);
    if (reply?.status === 200) return undefined;
  }
  return "the gateway was not ready within 10 s";
}

async function runToEnd(commands: string): Promise<string | undefined> {
  // What a block leaves in the background lives as long as the page.
  const shell = Bun.spawn(["bash", "-euo", "pipefail", "-c", commands], {
    cwd: folder,
    env,
    stdout: "pipe",
    stderr: "pipe",
  });
  started.push(shell);
  const code = await shell.exited;
  return code === 0 ? undefined : `it ended with ${code}`;
}

async function runPage(path: string): Promise<string[]> {
  const failures: string[] = [];
  for (const { kind, commands } of blocksOf(readFileSync(path, "utf8"))) {
    if (kind === "cluster") continue;
    const failure = await (kind === "background" ? startGateway(commands) : runToEnd(commands));
    if (failure !== undefined) failures.push(`${failure}:\n${commands}`);
  }
  return failures;
}

const failures = await runPage(process.argv[2] ?? "");
gateway?.kill("SIGKILL");
rmSync(folder, { recursive: true });
for (const failure of failures) console.log(failure);
process.exit(failures.length > 0 ? 1 : 0);
