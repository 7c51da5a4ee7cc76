/**
 * Runs the commands of a page in order, as its reader would: `bun test/support/run-page.ts PAGE`, in the world of `page-world.ts`. Prints what
 * failed, and exits with 1.
 */
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeWorld } from "./page-world.ts";
import { blocksOf, fileNameOf } from "./pages.ts";

const ROOT = join(import.meta.dir, "../..");
/** Longest that a gateway may take until it is ready, and that a block may run. */
const READY_MS = 20_000;
const BLOCK_MS = 60_000;

interface Running {
  readonly process: Bun.Subprocess;
  /** What it has printed so far. */
  output(): string;
}

const folder = await makeWorld();
const env: Record<string, string | undefined> = {
  ...process.env,
  PATH: `${join(ROOT, "bin")}:${process.env["PATH"]}`,
};
let blocks = 0;
/** What a block exports, the blocks behind it have. */
const EXPORTS = "[ ! -e .exports ] || . ./.exports; trap 'export -p > .exports' EXIT";

/** Its output goes to a file: what a block leaves running would hold a pipe open. */
function start(commands: string): Running {
  blocks += 1;
  const path = join(folder, `.output-${blocks}`);
  const file = openSync(path, "w");
  const child = Bun.spawn(["bash", "-euo", "pipefail", "-c", `${EXPORTS}\n${commands}`], {
    cwd: folder,
    env,
    // Its own group: what it starts ends with it.
    detached: true,
    stdin: "ignore",
    stdout: file,
    stderr: file,
  });
  closeSync(file);
  return { process: child, output: () => readFileSync(path, "utf8") };
}

/** The gateway of the last block that started one. */
let gateway: Running | undefined;

async function startGateway(commands: string): Promise<string | undefined> {
  await endGateway();
  const started = start(`exec ${commands.trim()}`);
  gateway = started;
  for (const until = performance.now() + READY_MS; performance.now() < until; await sleep(50)) {
    if (started.process.exitCode !== null) return `it ended with ${started.process.exitCode}\n${started.output()}`;
    const reply = await fetch(`${metricsUrlOf(started.output())}/readiness`).catch(() => undefined);
    if (reply?.status === 200) return undefined;
  }
  return `it was not ready within ${READY_MS / 1000} s\n${started.output()}`;
}

async function endGateway(): Promise<void> {
  if (gateway?.process.exitCode !== null) return;
  process.kill(-gateway.process.pid, "SIGKILL");
  await gateway.process.exited;
}

/** Probes are answered on the port of metrics too, which speaks no TLS and is at the same place on every page. */
function metricsUrlOf(output: string): string {
  const url = /"metrics_url":"([^"]*)"/.exec(output)?.[1] ?? "";
  return url.replace("0.0.0.0", "127.0.0.1");
}

async function runToEnd(commands: string): Promise<string | undefined> {
  const started = start(commands);
  const code = await Promise.race([started.process.exited, sleep(BLOCK_MS, undefined, { ref: false })]);
  if (code === 0) return undefined;
  const end = code === undefined ? `it was not over within ${BLOCK_MS / 1000} s` : `it ended with ${code}`;
  return `${end}\n${started.output()}`;
}

async function runBlock(kind: string, text: string): Promise<string | undefined> {
  const file = fileNameOf(kind, text);
  if (file !== undefined) writeFileSync(resolve(folder, file), text);
  if (kind === "sh background") return startGateway(text);
  return kind === "sh" ? runToEnd(text) : undefined;
}

async function runPage(path: string): Promise<string[]> {
  const failures: string[] = [];
  for (const { kind, line, text } of blocksOf(readFileSync(path, "utf8"))) {
    const failure = await runBlock(kind, text);
    if (failure !== undefined) failures.push(`${path}:${line}: ${failure}\n${text}`);
  }
  return failures;
}

const failures = await runPage(process.argv[2] ?? "");
await endGateway();
rmSync(folder, { recursive: true });
for (const failure of failures) console.log(failure);
process.exit(failures.length > 0 ? 1 : 0);
