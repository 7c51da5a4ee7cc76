import { readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SEC = 100;
const PAGE_BYTES = 4096;

/** A started program with everything below it. */
export interface Program {
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts a command; its output goes to the file, so that a failure can be looked at. */
export function startProgram(command: readonly string[], log: string, env: Record<string, string> = {}): Program {
  const child = Bun.spawn([...command], {
    stdout: Bun.file(log),
    stderr: Bun.file(`${log}.err`),
    stdin: "ignore",
    env: { ...process.env, ...env },
  });
  return {
    pid: child.pid,
    async stop() {
      const pids = familyOf(child.pid);
      child.kill("SIGTERM");
      await Promise.race([child.exited, Bun.sleep(3000)]);
      for (const pid of pids) killIfAlive(pid);
      await child.exited;
    },
  };
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** CPU time of a process and all below it, user and system, microseconds. Resolution: 10 ms. */
export function cpuMicros(pid: number): number {
  return familyOf(pid).reduce((sum, member) => sum + ticksOf(member), 0) * (1_000_000 / TICKS_PER_SEC);
}

/** Resident memory of a process and all below it, MB. */
export function residentMb(pid: number): number {
  const pages = familyOf(pid).reduce(
    (sum, member) => sum + Number(read(`/proc/${member}/statm`).split(" ")[1] ?? 0),
    0,
  );
  return (pages * PAGE_BYTES) / 1_048_576;
}

function ticksOf(pid: number): number {
  // The name in parentheses may have spaces; what follows it is fixed.
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /, "")
    .split(" ");
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

function familyOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(
      read(`/proc/${name}/stat`)
        .replace(/^.*\) /, "")
        .split(" ")[1],
    );
    parents.set(Number(name), parent);
  }
  const family = [root];
  for (const member of family) for (const [pid, parent] of parents) if (parent === member) family.push(pid);
  return family;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process ended between the listing and the look.
    return "";
  }
}
