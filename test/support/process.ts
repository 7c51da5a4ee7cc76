import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The program as it is started by users. */
export const BIN = join(import.meta.dir, "../../bin/pointsman");
/** A directory that is not the project's: nothing may depend on where the program is started. */
export const ELSEWHERE = mkdtempSync(join(tmpdir(), "pointsman-test-"));

/** The gateway as a process of its own. */
export interface GatewayProcess extends AsyncDisposable {
  readonly url: string;
  /** What it said when it began to listen. */
  readonly started: Record<string, unknown>;
  readonly pid: number;
  readonly exited: Promise<number>;
  /** Everything printed so far. */
  readonly output: string;
  signal(name: NodeJS.Signals): void;
  /** Log lines so far, access lines among them. */
  lines(): Record<string, unknown>[];
  /** The access line of this request, when it is there. */
  accessLine(requestId: string): Promise<Record<string, unknown>>;
  /** Resident memory, MB. */
  rssMb(): number;
  /** Open file descriptors. */
  descriptors(): number;
  /** Sum of the series of a metric whose labels contain all of these. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

/** The environment of the tests without the variables that are theirs, as the program would take them for options of its own. */
export const SURROUNDINGS: Readonly<Record<string, string | undefined>> = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("POINTSMAN_")),
);

/** Starts the program on a free port of loopback and waits until it has printed that it listens. */
export async function startProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<GatewayProcess> {
  return startProgram([BIN], args, { ...SURROUNDINGS, ...env });
}

/**
 * What all have unless a test says otherwise. How late the event loop is depends on what else the machine does, so requests are not refused
 * for it.
 */
const FLAGS = ["--host", "127.0.0.1", "--port", "0", "--prometheus-port", "0", "--max-event-loop-delay-ms", "0"];

/** The same with another form of the program, such as the executable, and nothing in its environment but `env`. */
export async function startProgram(
  program: readonly string[],
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<GatewayProcess> {
  const child = Bun.spawn([...program, ...FLAGS, ...args], {
    cwd: ELSEWHERE,
    stdout: "pipe",
    stderr: "inherit",
    env: { ...env },
  });
  let output = "";
  const { promise: listening, resolve } = Promise.withResolvers<string>();
  void (async (): Promise<void> => {
    for await (const bytes of child.stdout) {
      output += Buffer.from(bytes).toString();
      const line = output.split("\n").find((text) => text.startsWith('{"event":"listening"') && text.endsWith("}"));
      if (line !== undefined) resolve(line);
    }
    resolve(output);
  })();
  const started = JSON.parse(await listening) as Record<string, unknown>;
  const url = String(started["url"]);
  const lines = (): Record<string, unknown>[] =>
    output
      .slice(0, output.lastIndexOf("\n") + 1)
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return {
    url,
    started,
    pid: child.pid,
    exited: child.exited,
    get output() {
      return output;
    },
    signal: (name) => child.kill(name),
    lines,
    async accessLine(requestId) {
      for (;;) {
        const line = lines().find((entry) => entry["request_id"] === requestId && entry["msg"] === "request");
        if (line) return line;
        await Bun.sleep(5);
      }
    },
    rssMb: () => statusNumber(child.pid, "VmRSS") / 1024,
    descriptors: () => readdirSync(`/proc/${child.pid}/fd`).length,
    async metric(name, labels = {}) {
      const text = await (await fetch(`${url}/metrics`)).text();
      const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
      return text
        .split("\n")
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .filter((line) => wanted.every((part) => line.includes(part)))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

function statusNumber(pid: number, field: string): number {
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}
