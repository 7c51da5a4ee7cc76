import type { Bound } from "./bounds.ts";
import { recordCpu, warmUp } from "./measure.ts";
import { smallChat } from "./payloads.ts";
import type { Section } from "./section.ts";

/** CPU of a small request under one policy. */
export function smallJsonSection(parts: {
  readonly name: string;
  readonly policy: string;
  readonly targets: readonly string[];
  readonly bounds: readonly Bound[];
}): Section {
  const { name, policy, targets, bounds } = parts;
  return {
    name,
    title: `Small JSON request, ${policy}`,
    note: "About 300 bytes in and out, 32 clients that each wait for their answer, 8,000 requests a round.",
    columns: [
      { metric: "cpu", title: "CPU µs per request", digits: 1 },
      { metric: "rate", title: "requests per second", digits: 0 },
    ],
    bounds,
    maxSecs: 60,
    async measure(bench) {
      const load = smallChat();
      const started = await bench.start(targets, { policy, workers: bench.engines });
      await warmUp(bench, started, load);
      await bench.inTurns(started, (target) => recordCpu(bench, target, load, { lanes: 32, total: 8000 }));
    },
  };
}
