import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { recordCpu, warmUp } from "../lib/measure.ts";
import { smallChat } from "../lib/payloads.ts";
import type { Results } from "../lib/results.ts";
import type { Bench, Section } from "../lib/section.ts";
import { median } from "../lib/statistics.ts";
import type { Target } from "../lib/targets.ts";

const PLAIN = "pointsman";
const ALL = "pointsman, access log, key with limits, 1 % traces";

export const keys: Section = {
  name: "keys",
  title: "What keys, limits, the access log and traces add to a small request",
  note:
    "The same small requests to four gateways: one with nothing of it; one with the access log; one whose key also has all three kinds of limits; and one that also " +
    "traces 1 % of the requests. Each round goes through all four, and the bound compares the runs of one round: the median of those ratios.",
  columns: [
    { metric: "cpu", title: "CPU µs per request", digits: 1 },
    { metric: "rate", title: "requests per second", digits: 0 },
  ],
  bounds: [
    {
      what: "CPU of a small request with key, limits, access log and 1 % traces, over one without",
      limit: 1.2,
      unit: " x",
      value: addedShare,
    },
  ],
  maxSecs: 100,
  async measure(bench) {
    const targets = await startAll(bench);
    const load = smallChat();
    await warmUp(bench, targets, load);
    await bench.inTurns(targets, (target) => recordCpu(bench, target, load, { lanes: 32, total: 8000 }));
  },
};

/** The key is the one that the bench's requests have. */
const CONFIG = `
api_keys:
  - name: team
    key: client-key
    requests_per_minute: 100000000
    tokens_per_minute: 1000000000
    max_concurrent_requests: 1000
`;

async function startAll(bench: Bench): Promise<Target[]> {
  const config = join(bench.logs, "keys.yaml");
  writeFileSync(config, CONFIG);
  const collector = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      await request.arrayBuffer();
      return Response.json({});
    },
  });
  bench.defer(() => collector.stop(true));
  const limited = ["--config", config];
  const traced = ["--otlp-traces-endpoint", `127.0.0.1:${collector.port}`, "--traces-sample-ratio", "0.01"];
  const rows: readonly (readonly [row: string, flags: readonly string[]])[] = [
    [PLAIN, ["--log-level", "warn"]],
    ["pointsman, access log", []],
    ["pointsman, access log, key with limits", limited],
    [ALL, [...limited, ...traced]],
  ];
  const targets: Target[] = [];
  for (const [row, flags] of rows)
    targets.push(...(await bench.start(["pointsman"], { policy: "round_robin", workers: bench.engines, flags, row })));
  return targets;
}

function addedShare(results: Results): number | undefined {
  const plain = results.values(PLAIN, "cpu");
  const ratios = results.values(ALL, "cpu").flatMap((cpu, round) => {
    const without = plain[round];
    return without === undefined ? [] : [cpu / without];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}
