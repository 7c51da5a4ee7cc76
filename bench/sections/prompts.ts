import { ALL_TARGETS, ratioBound } from "../lib/bounds.ts";
import { closedLoop } from "../lib/load.ts";
import { recordCpu, warmUp } from "../lib/measure.ts";
import { longChat } from "../lib/payloads.ts";
import type { Section } from "../lib/section.ts";

/** Large prompts to warm up with, which take other ways than small ones. */
const LARGE_WARM_UP = 100;

export const prompts: Section = {
  name: "prompts",
  title: "Long prompts, cache_aware",
  note:
    "Chat prompts that share their first half with the others of their conversation: 64 of 8 KB from 16 clients, 16 of 400 KB (about " +
    "100,000 tokens) from 8. nginx chooses by turn and reads nothing.",
  columns: [
    { metric: "cpu8", title: "CPU µs per request, 8 KB", digits: 1 },
    { metric: "rate8", title: "requests per second", digits: 0 },
    { metric: "cpu400", title: "CPU µs per request, 400 KB", digits: 0 },
    { metric: "rate400", title: "requests per second", digits: 0 },
  ],
  bounds: [ratioBound("CPU of a 400 KB prompt, `cache_aware`, over sglang-router", "cpu400", ["sglang-router"], 0.5)],
  maxSecs: 90,
  async measure(bench) {
    const [medium, large] = [longChat(8192, 64), longChat(409_600, 16)];
    const targets = await bench.start(ALL_TARGETS, { policy: "cache_aware", workers: bench.engines });
    await warmUp(bench, targets, medium);
    for (const { name, origin } of targets) bench.note(name, await closedLoop(origin, large, 8, LARGE_WARM_UP));
    await bench.inTurns(targets, async (target) => {
      await recordCpu(bench, target, medium, { lanes: 16, total: 4000, suffix: "8" });
      await recordCpu(bench, target, large, { lanes: 8, total: 300, suffix: "400" });
    });
  },
};
