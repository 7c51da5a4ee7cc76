import type { Bound } from "../lib/bounds.ts";
import { closedLoop } from "../lib/load.ts";
import { cpuOf, warmUp } from "../lib/measure.ts";
import { smallChat } from "../lib/payloads.ts";
import { cpuMicros } from "../lib/processes.ts";
import type { Results } from "../lib/results.ts";
import type { Bench, Section } from "../lib/section.ts";
import type { Target } from "../lib/targets.ts";

const ONE = "pointsman, 1 thread";
const TWO = "pointsman, 2 threads";
/** Enough that the kernel's choice of a thread for each comes out about even. */
const CLIENTS = 128;
const REQUESTS = 20_000;

function medianRatio(results: Results, metric: string, above: string, below: string): number | undefined {
  const [first, second] = [results.median(above, metric), results.median(below, metric)];
  return first === undefined || second === undefined ? undefined : first / second;
}

/** What two threads could serve with a core for each: what they cost is what they would use it for. */
const scaling: Bound = {
  what: "two threads over one, from the CPU that a request takes (2 x cost with one / cost with two)",
  limit: 1.7,
  unit: " x",
  isFloor: true,
  value: (results) => {
    const ratio = medianRatio(results, "cpu", ONE, TWO);
    return ratio === undefined ? undefined : 2 * ratio;
  },
};

/** Of the cores that there are, once the engines and the clients have taken theirs. */
const filled: Bound = {
  what: "two threads over one, requests a second, of what this machine has room for beside clients and engines",
  limit: 0.85,
  unit: " of it",
  isFloor: true,
  value: (results) => {
    const gained = medianRatio(results, "rate", TWO, ONE);
    const room = results.median(TWO, "room");
    return gained === undefined || room === undefined ? undefined : gained / Math.min(2, room);
  },
};

export const threads: Section = {
  name: "threads",
  title: "One thread and two",
  note:
    "Small JSON requests, round_robin, 128 clients. Clients and engines run on the same cores: with two threads it is they that bound the " +
    "requests a second, and no number of threads can do better than the column room says, which is what two cores can serve in all, " +
    "over what one thread serves, from the CPU that everybody takes.",
  columns: [
    { metric: "cpu", title: "CPU µs per request", digits: 1 },
    { metric: "rate", title: "requests per second", digits: 0 },
    { metric: "busy", title: "cores used by the gateway", digits: 2 },
    { metric: "others", title: "by clients and engines", digits: 2 },
    { metric: "room", title: "room for, x one thread", digits: 2 },
  ],
  bounds: [scaling, filled],
  maxSecs: 60,
  async measure(bench) {
    const targets: Target[] = [];
    for (const [row, count] of [
      [ONE, "1"],
      [TWO, "2"],
    ] as const) {
      const flags = ["--threads", count];
      targets.push(
        ...(await bench.start(["pointsman"], { policy: "round_robin", workers: bench.engines, flags, row })),
      );
    }
    for (const target of targets) {
      await warmUp(bench, [target], smallChat());
      // Each thread has a compiler of its own.
      if (target.name === TWO) await warmUp(bench, [target], smallChat());
    }
    await bench.inTurns(targets, (target) => recordThreads(bench, target));
  },
};

async function recordThreads(bench: Bench, target: Target): Promise<void> {
  const before = othersMicros(bench);
  const { result, cpuMicros } = await cpuOf(target, () => closedLoop(target.origin, smallChat(), CLIENTS, REQUESTS));
  const others = othersMicros(bench) - before;
  bench.note(target.name, result);
  const own = cpuMicros / result.requests;
  const micros = result.seconds * 1_000_000;
  bench.record(target.name, "cpu", own);
  bench.record(target.name, "rate", result.requests / result.seconds);
  bench.record(target.name, "busy", cpuMicros / micros);
  bench.record(target.name, "others", others / micros);
  bench.record(target.name, "room", (navigator.hardwareConcurrency * own) / (own + others / result.requests));
}

function othersMicros(bench: Bench): number {
  const { user, system } = process.cpuUsage();
  return user + system + cpuMicros(bench.enginesPid);
}
