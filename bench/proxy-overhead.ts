/**
 * What a gateway costs: CPU per small JSON request and per streamed chunk, latency added at a fixed rate, memory.
 * All gateways stand before the same two engines and take turns in every round of one run, so that the machine's moods
 * hit all of them. CPU is that of the gateway's processes, from the kernel's accounting.
 *
 *   bun run bench/proxy-overhead.ts [--rounds 5] [--targets pointsman,nginx,...] [--policy round_robin] [--quick]
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { chatRequest, closedLoop, type LoadResult, median, openLoop, percentile } from "./lib/load.ts";
import { cpuMicros, residentMb, startProgram } from "./lib/processes.ts";
import { startTargets, type Target } from "./lib/targets.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    targets: { type: "string", default: "pointsman,nginx,vllm-router,sglang-router,smg" },
    policy: { type: "string", default: "round_robin" },
    quick: { type: "boolean", default: false },
  },
});
const scale = values.quick ? 0.2 : 1;

interface Scenario {
  readonly name: string;
  readonly unit: "request" | "chunk";
  run(origin: string): Promise<LoadResult>;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: "small JSON request",
    unit: "request",
    run: (origin) => closedLoop(chatRequest(origin, "What is the capital of France?", false), 32, 8000 * scale),
  },
  {
    name: "SSE chunk, saturated",
    unit: "chunk",
    run: (origin) => closedLoop(chatRequest(origin, "stream 500 0", true), 16, 160 * scale),
  },
  {
    name: "SSE chunk, 20 ms cadence, 200 streams",
    unit: "chunk",
    run: (origin) => closedLoop(chatRequest(origin, "stream 100 20", true), 200, 200),
  },
];

interface Samples {
  readonly cpu: Map<string, number[]>;
  readonly perSec: Map<string, number[]>;
}

const rows = new Map<string, Samples>();
const latency = new Map<string, { p50: number[]; p99: number[] }>();
let failures = 0;

function add(map: Map<string, number[]>, key: string, value: number): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}

async function measure(target: Target, scenario: Scenario): Promise<void> {
  const before = cpuMicros(target.program.pid);
  const result = await scenario.run(target.origin);
  // What a gateway does after the last byte (logs, metrics) is part of its cost.
  await Bun.sleep(300);
  const cpu = cpuMicros(target.program.pid) - before;
  const units = scenario.unit === "chunk" ? result.chunks : result.requests;
  failures += result.failures;
  const samples = rows.get(target.name) ?? { cpu: new Map(), perSec: new Map() };
  rows.set(target.name, samples);
  add(samples.cpu, scenario.name, cpu / units);
  add(samples.perSec, scenario.name, units / result.seconds);
}

async function measureLatency(name: string, origin: string): Promise<void> {
  const result = await openLoop(
    chatRequest(origin, "What is the capital of France?", false),
    200,
    values.quick ? 2 : 5,
  );
  failures += result.failures;
  const samples = latency.get(name) ?? { p50: [], p99: [] };
  latency.set(name, samples);
  samples.p50.push(percentile(result.latencies, 0.5));
  samples.p99.push(percentile(result.latencies, 0.99));
}

async function startBackend(port: number): Promise<{ url: string; stop(): Promise<void> }> {
  const program = startProgram(
    [process.execPath, `${import.meta.dir}/backend.ts`, String(port)],
    `/tmp/pointsman-bench-backend-${port}.log`,
  );
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      if ((await fetch(`${url}/health`)).ok) return { url, stop: () => program.stop() };
    } catch {
      // Not listening yet.
    }
    await Bun.sleep(50);
  }
  throw new Error("the backend did not come up");
}

const backends = [await startBackend(18_091), await startBackend(18_092)];
const targets = await startTargets(
  values.targets.split(","),
  backends.map((backend) => backend.url),
  values.policy,
);
const loadBefore = loadavg();
const idleMb = new Map(targets.map((target) => [target.name, residentMb(target.program.pid)]));
try {
  // A gateway runs for weeks: what a compiler does in the first minute is not what it costs.
  for (const target of targets) await closedLoop(chatRequest(target.origin, "warm up", false), 32, 40_000 * scale);
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const scenario of SCENARIOS) for (const target of targets) await measure(target, scenario);
    await measureLatency("direct", backends[0]?.url ?? "");
    for (const target of targets) await measureLatency(target.name, target.origin);
  }
  report();
} finally {
  for (const target of targets) await target.program.stop();
  for (const backend of backends) await backend.stop();
}

function report(): void {
  const show = (map: Map<string, number[]> | undefined, key: string): string => {
    const all = map?.get(key) ?? [];
    return `${median(all).toFixed(1)} (${Math.min(...all).toFixed(1)}-${Math.max(...all).toFixed(1)})`;
  };
  console.log(
    `policy ${values.policy}, ${values.rounds} rounds interleaved, load average before ${loadBefore.map((n) => n.toFixed(2)).join(" ")}, after ${loadavg()
      .map((n) => n.toFixed(2))
      .join(" ")}, failed requests ${failures}\n`,
  );
  console.log(`CPU of the gateway, microseconds, median (min-max):\n`);
  console.log(`| gateway | ${SCENARIOS.map((scenario) => `per ${scenario.name}`).join(" | ")} |`);
  console.log(`|---|${SCENARIOS.map(() => "---|").join("")}`);
  for (const target of targets) {
    const cells = SCENARIOS.map((scenario) => show(rows.get(target.name)?.cpu, scenario.name));
    console.log(`| ${target.name} | ${cells.join(" | ")} |`);
  }
  console.log(`\nLatency at 200 requests a second, ms, and memory, MB (medians):\n`);
  console.log(
    "| gateway | p50 | p99 | added p50 | added p99 | RSS idle | RSS after load |\n|---|---|---|---|---|---|---|",
  );
  const direct = latency.get("direct");
  for (const name of ["direct", ...targets.map((target) => target.name)]) {
    const own = latency.get(name);
    const p50 = median(own?.p50 ?? []);
    const p99 = median(own?.p99 ?? []);
    const added = [p50 - median(direct?.p50 ?? []), p99 - median(direct?.p99 ?? [])].map((ms) => ms.toFixed(2));
    const target = targets.find((candidate) => candidate.name === name);
    const memory = target ? [(idleMb.get(name) ?? 0).toFixed(0), residentMb(target.program.pid).toFixed(0)] : ["", ""];
    console.log(`| ${name} | ${p50.toFixed(2)} | ${p99.toFixed(2)} | ${added.join(" | ")} | ${memory.join(" | ")} |`);
  }
}
