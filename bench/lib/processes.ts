import { dlopen } from "bun:ffi";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const PAGE_BYTES = 4096;
/** From SIGTERM to SIGKILL, ms. */
const STOP_MS = 500;

/** What was started and has not ended: ended with this process, however it ends. */
const running = new Set<number>();
process.on("exit", () => [...running].flatMap(familyOf).forEach(killIfAlive));
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(1));

/** A started program with everything below it. */
export interface Program {
  readonly pid: number;
  readonly exited: Promise<number>;
  stop(): Promise<void>;
  /** At once, without a chance to say goodbye. */
  kill(): Promise<void>;
}

/** Starts a command; its output goes to the file, so that a failure can be looked at. */
export function startProgram(command: readonly string[], log: string, env: Record<string, string> = {}): Program {
  const child = Bun.spawn([...command], {
    stdout: Bun.file(log),
    stderr: Bun.file(`${log}.err`),
    stdin: "ignore",
    env: { ...process.env, ...env },
  });
  running.add(child.pid);
  void child.exited.then(() => running.delete(child.pid));
  const kill = async (): Promise<void> => {
    for (const pid of familyOf(child.pid)) killIfAlive(pid);
    await child.exited;
  };
  return {
    pid: child.pid,
    exited: child.exited,
    kill,
    async stop() {
      const pids = familyOf(child.pid);
      child.kill("SIGTERM");
      await Promise.race([child.exited, Bun.sleep(STOP_MS)]);
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

/** CPU time of a process and all below it, all their threads, user and system, microseconds. */
export function cpuMicros(pid: number): number {
  return familyOf(pid).reduce((sum, member) => sum + clockMicros(member), 0);
}

/** The part of that outside of the kernel, in ticks of 10 ms. */
export function userMicros(pid: number): number {
  return familyOf(pid).reduce((sum, member) => sum + Number(statOf(member)[11] ?? 0) * 10_000, 0);
}

/** Resident memory of a process and all below it, MB. */
export function residentMb(pid: number): number {
  const pages = familyOf(pid).reduce(
    (sum, member) => sum + Number(read(`/proc/${member}/statm`).split(" ")[1] ?? 0),
    0,
  );
  return (pages * PAGE_BYTES) / 1_048_576;
}

/** Open sockets of a process, those that it listens on included; 0 when it has ended. */
export function sockets(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).filter((descriptor) => isSocket(`/proc/${pid}/fd/${descriptor}`)).length;
  } catch {
    // It has ended.
    return 0;
  }
}

function isSocket(link: string): boolean {
  try {
    return readlinkSync(link).startsWith("socket:");
  } catch {
    // It was closed between the listing and the look.
    return false;
  }
}

const libc = dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
const timespec = new BigInt64Array(2);

/**
 * The CPU clock of another process, in nanoseconds, where /proc counts in ticks of 10 ms. The id of the clock is made as
 * clock_getcpuclockid(3) does it.
 */
function clockMicros(pid: number): number {
  const failed = libc.symbols.clock_gettime((~pid << 3) | 2, timespec);
  const [seconds = 0n, nanos = 0n] = timespec;
  return failed === 0 ? Number(seconds) * 1_000_000 + Number(nanos) / 1000 : 0;
}

function familyOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (/^\d+$/.test(name)) parents.set(Number(name), Number(statOf(name)[1]));
  }
  const family = [root];
  for (const member of family) for (const [pid, parent] of parents) if (parent === member) family.push(pid);
  return family;
}

/** What the kernel says of a process (proc(5), stat), from its state on: the name before it may have spaces and brackets. */
function statOf(pid: string | number): readonly string[] {
  const all = read(`/proc/${pid}/stat`);
  return all.slice(all.lastIndexOf(") ") + 2).split(" ");
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process ended between the listing and the look.
    return "";
  }
}
