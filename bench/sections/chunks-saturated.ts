import { ALL_TARGETS, RUST_PEERS, ratioBound } from "../lib/bounds.ts";
import { closedLoop } from "../lib/load.ts";
import { recordCpu, warmUp } from "../lib/measure.ts";
import { streamedChat } from "../lib/payloads.ts";
import type { Section } from "../lib/section.ts";

export const chunksSaturated: Section = {
  name: "chunks-saturated",
  title: "Streams, saturated",
  note: "16 streams at a time of 1,000 tokens as fast as they are taken, each token a write of its own; 160 streams a round.",
  columns: [
    { metric: "cpu", title: "CPU µs per chunk", digits: 2 },
    { metric: "rate", title: "chunks per second", digits: 0 },
  ],
  bounds: [ratioBound("CPU of a chunk, saturated, over the best Rust peer", "cpu", RUST_PEERS, 0.45)],
  maxSecs: 60,
  async measure(bench) {
    const targets = await bench.start(ALL_TARGETS, { policy: "round_robin", workers: bench.engines });
    // The way of a stream is not that of a whole answer: it is what has to be warm.
    await warmUp(bench, targets, streamedChat(100, 0));
    const load = streamedChat(1000, 0);
    for (const { name, origin } of targets) bench.note(name, await closedLoop(origin, load, 16, 16));
    await bench.inTurns(targets, (target) => recordCpu(bench, target, load, { lanes: 16, total: 160 }));
  },
};
