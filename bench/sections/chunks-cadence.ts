import { ALL_TARGETS, type Bound, RUST_PEERS, ratioBound } from "../lib/bounds.ts";
import { closedLoop } from "../lib/load.ts";
import { cpuOf, warmUp } from "../lib/measure.ts";
import { streamedChat } from "../lib/payloads.ts";
import type { Bench, Section } from "../lib/section.ts";
import type { Target } from "../lib/targets.ts";

const INTERVAL_MS = 20;
/** Below it chunks travel together, and the cost of one is that of a share of many, %. */
const MIN_PACE = 90;

/** Said only where the pace was kept: else who is slower seems to be cheaper. */
const atCadence = ratioBound("the same, 2,000 streams, where their pace is kept", "cpu2000", RUST_PEERS, 0.9);
const manyStreams: Bound = {
  ...atCadence,
  value: (results) =>
    (results.median("pointsman", "pace2000") ?? 0) < MIN_PACE ? undefined : atCadence.value(results),
};

export const chunksCadence: Section = {
  name: "chunks-cadence",
  title: "Streams, a token each 20 ms",
  note:
    "150 tokens a stream (75 where there are 2,000), phases spread evenly. Pace is the chunks that came, of those that the engines would have given had nobody " +
    "held them up: below 100 % the machine is full and chunks travel together, so that the cost of one is no more that of its cadence.",
  columns: [
    { metric: "cpu500", title: "CPU µs per chunk, 500 streams", digits: 1 },
    { metric: "pace500", title: "pace %", digits: 0 },
    { metric: "cpu2000", title: "CPU µs per chunk, 2,000 streams", digits: 1 },
    { metric: "pace2000", title: "pace %", digits: 0 },
  ],
  bounds: [
    ratioBound("CPU of a chunk at 20 ms cadence, 500 streams, over the best Rust peer", "cpu500", RUST_PEERS, 0.9),
    manyStreams,
  ],
  maxSecs: 180,
  async measure(bench) {
    const options = { policy: "round_robin", workers: bench.engines };
    const targets = await bench.start(ALL_TARGETS, options);
    const row = "pointsman, 2 threads";
    targets.push(...(await bench.start(["pointsman"], { ...options, flags: ["--threads", "2"], row })));
    // The way of a stream is not that of a whole answer: it is what has to be warm.
    await warmUp(bench, targets, streamedChat(100, 0));
    await bench.inTurns(targets, async (target) => {
      await recordStreams(bench, target, 500, 150);
      await recordStreams(bench, target, 2000, 75);
    });
  },
};

async function recordStreams(bench: Bench, target: Target, streams: number, tokens: number): Promise<void> {
  const load = streamedChat(tokens, INTERVAL_MS);
  const { result, cpuMicros } = await cpuOf(target, () => closedLoop(target.origin, load, streams, streams));
  bench.note(target.name, result);
  bench.record(target.name, `cpu${streams}`, cpuMicros / result.events);
  bench.record(target.name, `pace${streams}`, ((tokens * INTERVAL_MS) / (result.seconds * 1000)) * 100);
}
