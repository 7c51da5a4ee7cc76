import { ALL_TARGETS, valueBound } from "../lib/bounds.ts";
import { closedLoop } from "../lib/load.ts";
import { streamedChat } from "../lib/payloads.ts";
import { residentMb } from "../lib/processes.ts";
import type { Bench, Section } from "../lib/section.ts";
import type { Target } from "../lib/targets.ts";

const STREAMS = 1000;
const SAMPLE_MS = 250;
/** From the start to the look at an idle process, ms. */
const IDLE_MS = 1500;

export const memory: Section = {
  name: "memory",
  title: "Memory",
  note: "Fresh processes, round_robin. 1,000 streams at the same time, a token each 100 ms, 50 tokens; the most that was seen meanwhile.",
  columns: [
    { metric: "idle", title: "RSS idle, MB", digits: 0 },
    { metric: "streams", title: "RSS under 1,000 streams, MB", digits: 0 },
    { metric: "after", title: "RSS after them, MB", digits: 0 },
  ],
  bounds: [
    valueBound("RSS idle", "idle", 70, " MB"),
    valueBound("RSS under 1,000 live streams", "streams", 150, " MB"),
  ],
  maxSecs: 100,
  async measure(bench) {
    await bench.rounds(async () => {
      for (const name of ALL_TARGETS) {
        for (const target of await bench.start([name], { policy: "round_robin", workers: bench.engines })) {
          await recordMemory(bench, target);
          await target.stop();
        }
      }
    });
  },
};

async function recordMemory(bench: Bench, target: Target): Promise<void> {
  await Bun.sleep(IDLE_MS);
  bench.record(target.name, "idle", residentMb(target.pid));
  let most = 0;
  const timer = setInterval(() => (most = Math.max(most, residentMb(target.pid))), SAMPLE_MS);
  const result = await closedLoop(target.origin, streamedChat(50, 100), STREAMS, STREAMS);
  clearInterval(timer);
  bench.note(target.name, result);
  bench.record(target.name, "streams", most);
  await Bun.sleep(SAMPLE_MS);
  bench.record(target.name, "after", residentMb(target.pid));
}
