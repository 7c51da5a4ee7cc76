/**
 * What a change costs or saves: checkouts of the gateway before the same engines, in turns, so that one number over the other
 * holds on a machine whose speed changes within the hour.
 *
 *   bun bench/compare.ts DIRECTORY[=POLICY] DIRECTORY[=POLICY]... [--rounds 9] [--starts 1] [--policy round_robin] [--cases json]
 *
 * Each directory is a checkout with its packages installed. CPU is that of the whole process, and the part of it outside of the kernel. A process
 * keeps a speed of its own: two of the same checkout differ by up to a tenth. `--starts` starts all of them so often, each time with another
 * one first, and gives the mean of the ratios (six starts of equal checkouts: 1.03).
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { startEngines, untilAnswers } from "./lib/engines.ts";
import { closedLoop, type Load, type LoadResult } from "./lib/load.ts";
import { longChat, smallChat, streamedChat } from "./lib/payloads.ts";
import { cpuMicros, type Program, startProgram, userMicros } from "./lib/processes.ts";
import { median } from "./lib/statistics.ts";
import { freePort } from "./lib/targets.ts";

/** How the gateway is started: over a fleet of equal workers, over a pair, or with its own parsers for their answers. */
type Mode = "plain" | "pd" | "parsed";

interface Case {
  readonly name: string;
  readonly mode: Mode;
  readonly load: Load;
  readonly lanes: number;
  readonly total: number;
}

const LONG_BYTES = 400_000;

/** `--cases WORD` keeps those with the word in their name. */
const CASES: readonly Case[] = [
  { name: "event, 500 streams of one each 20 ms", mode: "plain", load: streamedChat(150, 20), lanes: 500, total: 500 },
  {
    name: "event, 16 streams as fast as they are taken",
    mode: "plain",
    load: streamedChat(1000, 0),
    lanes: 16,
    total: 160,
  },
  { name: "event, 250 PD streams of one each 20 ms", mode: "pd", load: streamedChat(150, 20), lanes: 250, total: 250 },
  {
    name: "event, 250 parsed streams of one each 20 ms",
    mode: "parsed",
    load: streamedChat(150, 20),
    lanes: 250,
    total: 250,
  },
  { name: "small JSON request", mode: "plain", load: smallChat(), lanes: 32, total: 8000 },
  { name: "JSON request of 400 KB", mode: "plain", load: longChat(LONG_BYTES, 16), lanes: 8, total: 600 },
];
/** Until Bun's compiler is done with them. */
const WARM_UP: readonly Omit<Case, "mode">[] = [
  { name: "streams", load: streamedChat(100, 0), lanes: 16, total: 600 },
  { name: "requests", load: smallChat(), lanes: 32, total: 120_000 },
];

interface Checkout {
  readonly directory: string;
  readonly mode: Mode;
  readonly origin: string;
  readonly program: Program;
  /** Of each case by its name, microseconds a request or event in each round. */
  readonly all: Map<string, number[]>;
  readonly user: Map<string, number[]>;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "9" },
    starts: { type: "string", default: "1" },
    policy: { type: "string", default: "round_robin" },
    cases: { type: "string", default: "" },
  },
});
const logs = mkdtempSync(join(tmpdir(), "pointsman-compare-"));
const engines = await startEngines(logs, { firstPort: freePort(), ports: 1, addresses: 2 });
const cases = CASES.filter(({ name }) => name.includes(values.cases));
/** By case and directory: CPU over that of the first directory, one of each start. */
const ratios = new Map<string, number[]>();
const starts = Number(values.starts);
for (let start = 0; start < starts; start += 1) {
  const turn = start % positionals.length;
  await compareOnce([...positionals.slice(turn), ...positionals.slice(0, turn)]);
}
for (const [row, all] of starts > 1 ? ratios : []) {
  const mean = Math.exp(all.reduce((sum, ratio) => sum + Math.log(ratio), 0) / all.length);
  console.log(`${row}: ${mean.toFixed(3)} of ${positionals[0]} (${all.map((ratio) => ratio.toFixed(2)).join(" ")})`);
}
await engines.program.stop();

/** Starts all checkouts in this order, measures them in turns, and stops them. */
async function compareOnce(given: readonly string[]): Promise<void> {
  const checkouts: Checkout[] = [];
  for (const mode of new Set(cases.map((one) => one.mode))) {
    for (const one of given) checkouts.push(await start(one, mode));
  }
  for (const { origin } of checkouts) for (const one of WARM_UP) await run(origin, one);
  for (const one of cases) {
    const compared = checkouts.filter(({ mode }) => mode === one.mode);
    for (let round = 0; round < Number(values.rounds); round += 1)
      for (const checkout of compared) await measure(checkout, one);
    tell(one.name, compared);
  }
  for (const { program } of checkouts) await program.stop();
}

function tell(name: string, compared: readonly Checkout[]): void {
  const first = compared.find(({ directory }) => directory === positionals[0]);
  for (const { directory, all, user } of compared) {
    const [cpu = Number.NaN, outside = Number.NaN] = [all, user].map((of) => median(of.get(name) ?? []));
    console.log(`${name}: ${cpu.toFixed(2)} µs, ${outside.toFixed(2)} outside of the kernel: ${directory}`);
    if (directory === positionals[0]) continue;
    const row = `${name}, ${directory}`;
    ratios.set(row, [...(ratios.get(row) ?? []), cpu / median(first?.all.get(name) ?? [])]);
  }
}

/** `given` is a directory, and after an equals sign its policy where that is not the policy of all. */
async function start(given: string, mode: Mode): Promise<Checkout> {
  const [path = "", policy = values.policy] = given.split("=");
  const directory = resolve(path);
  const port = freePort();
  const command = [join(directory, "bin/pointsman"), "--host", "127.0.0.1", "--port", String(port)];
  const options = ["--prometheus-port", "0", "--policy", policy, ...workersOf(mode)];
  const program = startProgram([...command, ...options], join(logs, `gateway-${port}.log`));
  const origin = `http://127.0.0.1:${port}`;
  await untilAnswers(`${origin}/readiness`);
  return { directory: given, mode, origin, program, all: new Map(), user: new Map() };
}

function workersOf(mode: Mode): string[] {
  const [prefill = "", decode = ""] = engines.urls;
  if (mode === "pd") return ["--pd-disaggregation", "--prefill", prefill, "--decode", decode];
  const parsers = mode === "parsed" ? ["--parse-output", "*", "--reasoning-parser", "qwen3"] : [];
  return [...parsers, "--worker-urls", ...engines.urls];
}

async function run(origin: string, { load, lanes, total }: Omit<Case, "mode">): Promise<LoadResult> {
  const result = await closedLoop(origin, load, lanes, total);
  if (result.failures > 0) throw new Error(`${result.failures} failed: ${result.failure}`);
  return result;
}

async function measure({ origin, program, all, user }: Checkout, one: Case): Promise<void> {
  const before = [cpuMicros(program.pid), userMicros(program.pid)] as const;
  const { events, requests } = await run(origin, one);
  const units = one.load.events > 0 ? events : requests;
  const spent = [cpuMicros(program.pid) - before[0], userMicros(program.pid) - before[1]] as const;
  for (const [index, of] of [all, user].entries()) {
    const list = of.get(one.name) ?? [];
    of.set(one.name, [...list, (spent[index] ?? 0) / units]);
  }
}
