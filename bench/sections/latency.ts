import { ALL_TARGETS, valueBound } from "../lib/bounds.ts";
import { openLoop } from "../lib/load.ts";
import { warmUp } from "../lib/measure.ts";
import { smallChat } from "../lib/payloads.ts";
import type { Bench, Section } from "../lib/section.ts";
import { percentile } from "../lib/statistics.ts";

const PER_SEC = 200;
const SECONDS = 5;

interface Latency {
  readonly p50: number;
  readonly p99: number;
}

export const latency: Section = {
  name: "latency",
  title: "Latency at 200 requests a second",
  note: "Small JSON requests at a fixed rate, round_robin, 1,000 a round. Added is over the engine asked directly in the same round.",
  columns: [
    { metric: "p50", title: "p50 ms", digits: 2 },
    { metric: "p99", title: "p99 ms", digits: 2 },
    { metric: "added50", title: "added p50 ms", digits: 2 },
    { metric: "added99", title: "added p99 ms", digits: 2 },
  ],
  bounds: [
    valueBound("latency added at 200 requests a second, p50", "added50", 0.5, " ms"),
    valueBound("latency added at 200 requests a second, p99", "added99", 3, " ms"),
  ],
  maxSecs: 100,
  async measure(bench) {
    const targets = await bench.start(ALL_TARGETS, { policy: "round_robin", workers: bench.engines });
    await warmUp(bench, targets, smallChat());
    let direct: Latency = { p50: 0, p99: 0 };
    const engine = { name: "direct", origin: bench.engines[0] ?? "" };
    await bench.rounds(async () => {
      direct = await recordLatency(bench, engine);
      for (const target of targets) {
        const { p50, p99 } = await recordLatency(bench, target);
        bench.record(target.name, "added50", p50 - direct.p50);
        bench.record(target.name, "added99", p99 - direct.p99);
      }
    });
  },
};

async function recordLatency(
  bench: Bench,
  { name, origin }: { readonly name: string; readonly origin: string },
): Promise<Latency> {
  const result = await openLoop(origin, smallChat(), PER_SEC, SECONDS);
  bench.note(name, result);
  const found = { p50: percentile(result.latencies, 0.5), p99: percentile(result.latencies, 0.99) };
  bench.record(name, "p50", found.p50);
  bench.record(name, "p99", found.p99);
  return found;
}
