import { ALL_TARGETS, valueBound } from "../lib/bounds.ts";
import type { Lane } from "../lib/lane.ts";
import { openLanes, openLoop } from "../lib/load.ts";
import { smallChat } from "../lib/payloads.ts";
import { residentMb } from "../lib/processes.ts";
import type { Bench, Section } from "../lib/section.ts";
import { percentile } from "../lib/statistics.ts";
import type { Target } from "../lib/targets.ts";

const CLIENTS = 10_000;
const ASKING_AT_ONCE = 32;
const PER_SEC = 200;
const SECONDS = 4;

export const idleClients: Section = {
  name: "idle-clients",
  title: "10,000 idle clients",
  note:
    "10,000 connections that have each had one answer and ask no more; beside them 200 small requests a second, round_robin. Processes " +
    "are fresh: warmed up by those 10,000 requests and no others.",
  columns: [
    { metric: "before", title: "RSS before, MB", digits: 0 },
    { metric: "rss", title: "RSS with them, MB", digits: 0 },
    { metric: "open", title: "connections still open", digits: 0 },
    { metric: "p50", title: "p50 beside them, ms", digits: 2 },
    { metric: "p99", title: "p99 beside them, ms", digits: 2 },
  ],
  bounds: [valueBound("RSS with 10,000 idle clients", "rss", 100, " MB")],
  maxSecs: 110,
  async measure(bench) {
    const names = [...ALL_TARGETS];
    await bench.rounds(async () => {
      for (const name of names) {
        for (const target of await bench.start([name], { policy: "round_robin", workers: bench.engines })) {
          await recordIdle(bench, target);
          await target.stop();
        }
      }
    });
  },
};

async function recordIdle(bench: Bench, target: Target): Promise<void> {
  bench.record(target.name, "before", residentMb(target.pid));
  const load = smallChat();
  const lanes = await openLanes(target.origin, CLIENTS);
  await askOnce(lanes, load.requests[0] ?? new Uint8Array(0));
  const result = await openLoop(target.origin, load, PER_SEC, SECONDS);
  bench.note(target.name, result);
  bench.record(target.name, "rss", residentMb(target.pid));
  bench.record(target.name, "open", lanes.filter((lane) => lane.broken === undefined).length);
  bench.record(target.name, "p50", percentile(result.latencies, 0.5));
  bench.record(target.name, "p99", percentile(result.latencies, 0.99));
  for (const lane of lanes) lane.close();
}

async function askOnce(lanes: readonly Lane[], request: Uint8Array): Promise<void> {
  const left = lanes.values();
  const asking = async (): Promise<void> => {
    for (const lane of left) await lane.ask(request);
  };
  await Promise.all(Array.from({ length: ASKING_AT_ONCE }, asking));
}
