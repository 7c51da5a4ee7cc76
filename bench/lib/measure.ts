import { closedLoop, type Load, type LoadResult } from "./load.ts";
import { cpuMicros } from "./processes.ts";
import type { Bench } from "./section.ts";
import type { Target } from "./targets.ts";

/** A gateway runs for weeks: what the compiler does in the first minute is not what it costs. Requests, or chunks of streams. */
const WARM_UP = { jit: 60_000, native: 4000 };

/** What a gateway does after the last byte (logs, metrics) is part of its cost, ms. */
const SETTLE_MS = 250;

export async function warmUp(bench: Bench, targets: readonly Target[], load: Load): Promise<void> {
  for (const target of targets) {
    const total = target.name.startsWith("pointsman") ? WARM_UP.jit : WARM_UP.native;
    const requests = Math.ceil(total / Math.max(1, load.events));
    bench.note(target.name, await closedLoop(target.origin, load, Math.min(32, requests), requests));
  }
}

export interface CpuRun {
  readonly result: LoadResult;
  /** Of all threads of all processes of the target. */
  readonly cpuMicros: number;
}

/** Runs a load and counts the CPU that the target spent on it. */
export async function cpuOf(target: Target, run: () => Promise<LoadResult>): Promise<CpuRun> {
  const before = cpuMicros(target.pid);
  const result = await run();
  await Bun.sleep(SETTLE_MS);
  return { result, cpuMicros: cpuMicros(target.pid) - before };
}

/** Records `cpu<suffix>` in microseconds a request or event, and `rate<suffix>` a second. */
export async function recordCpu(
  bench: Bench,
  target: Target,
  load: Load,
  { lanes, total, suffix = "" }: { readonly lanes: number; readonly total: number; readonly suffix?: string },
): Promise<void> {
  const { result, cpuMicros } = await cpuOf(target, () => closedLoop(target.origin, load, lanes, total));
  bench.note(target.name, result);
  const units = load.events > 0 ? result.events : result.requests;
  bench.record(target.name, `cpu${suffix}`, cpuMicros / units);
  bench.record(target.name, `rate${suffix}`, units / result.seconds);
}
