import { join } from "node:path";
import { untilAnswers } from "../lib/engines.ts";
import { type Program, startProgram } from "../lib/processes.ts";
import { freePort, startTarget, type Target } from "../lib/targets.ts";
import type { Sample } from "./client.ts";
import { type Played, WORKERS, wordsOf } from "./load-of.ts";
import type { QualityTarget } from "./quality-targets.ts";

/** One load with one seed, for all gateways at once. */
export interface Comparison extends Played {
  readonly targets: readonly QualityTarget[];
  /** Folder for what programs say. */
  readonly logs: string;
}

/** What clients of one gateway saw. */
export interface Run {
  readonly load: string;
  readonly seed: number;
  readonly target: string;
  readonly isPeer: boolean;
  /** TTFT of answered requests in order, ms. */
  readonly ttftMs: readonly number[];
  /** The session of each of them, by its place in the load. */
  readonly sessions: readonly number[];
  readonly failures: number;
  /** What the first failure was. */
  readonly failure: string | null;
}

/** Ports of a fleet: one for each worker, and one that begins its faults. */
const PORTS = WORKERS + 1;

interface Fleet {
  readonly target: QualityTarget;
  readonly program: Program;
  readonly workers: readonly string[];
  readonly beginUrl: string;
}

interface Lane {
  readonly target: QualityTarget;
  readonly gateway: Target;
  readonly beginUrl: string;
}

/** Starts a fleet and a gateway for each target, lets all clients begin at the same time, and stops everything. */
export async function compareOn(comparison: Comparison): Promise<Run[]> {
  const { targets, logs } = comparison;
  const firstPort = freePorts(targets.length * PORTS);
  const fleets = targets.map((target, index) => startFleet(target, firstPort + index * PORTS, comparison));
  const gateways: Target[] = [];
  try {
    for (const { workers } of fleets) for (const url of workers) await untilAnswers(`${url}/health`);
    const lanes = await Promise.all(
      fleets.map(async ({ target, workers, beginUrl }): Promise<Lane | undefined> => {
        const gateway = await startTarget(target.program, { policy: target.policy, workers, row: target.name }, logs);
        if (gateway) gateways.push(gateway);
        return gateway && { target, gateway, beginUrl };
      }),
    );
    return await Promise.all(lanes.flatMap((lane) => (lane ? [play(lane, comparison)] : [])));
  } finally {
    await Promise.all([...gateways.map((gateway) => gateway.stop()), ...fleets.map(({ program }) => program.stop())]);
  }
}

function startFleet(target: QualityTarget, firstPort: number, comparison: Comparison): Fleet {
  const command = [process.execPath, join(import.meta.dir, "fleet.ts"), String(firstPort), ...wordsOf(comparison)];
  return {
    target,
    program: startProgram(command, join(comparison.logs, `fleet-${target.name}-${firstPort}.log`)),
    workers: Array.from({ length: WORKERS }, (_, index) => `http://127.0.0.1:${firstPort + index}`),
    beginUrl: `http://127.0.0.1:${firstPort + WORKERS}/`,
  };
}

/** The first of so many ports in a row that nobody has now. */
function freePorts(count: number): number {
  for (;;) {
    const first = freePort();
    try {
      for (let port = first; port < first + count; port += 1) {
        Bun.listen({ hostname: "127.0.0.1", port, socket: { data: () => undefined } }).stop(true);
      }
      return first;
    } catch {
      // Somebody has one of them.
    }
  }
}

async function play({ target, gateway, beginUrl }: Lane, comparison: Comparison): Promise<Run> {
  const command = [process.execPath, join(import.meta.dir, "client.ts"), gateway.origin, ...wordsOf(comparison)];
  const log = join(comparison.logs, `client-${target.name}-${comparison.load}-${comparison.seed}.log`);
  await fetch(beginUrl);
  const client = startProgram(command, log);
  await client.exited;
  const samples = (await Bun.file(log).text())
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Sample);
  const failed = samples.filter(({ failure, ttftMs }) => failure !== null || ttftMs === null);
  const answered = samples.filter((sample) => !failed.includes(sample));
  return {
    load: comparison.load,
    seed: comparison.seed,
    target: target.name,
    isPeer: target.isPeer,
    ttftMs: answered.flatMap(({ ttftMs }) => ttftMs ?? []),
    sessions: answered.map(({ session }) => session),
    failures: failed.length,
    failure: failed[0]?.failure ?? null,
  };
}
