import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { recordCpu, warmUp } from "../lib/measure.ts";
import { smallChat } from "../lib/payloads.ts";
import type { Results } from "../lib/results.ts";
import type { Bench, Section } from "../lib/section.ts";
import { type Mean, meanRatio, median } from "../lib/statistics.ts";
import type { Target } from "../lib/targets.ts";

const PLAIN = "pointsman";
const ALL = "pointsman, access log, key with limits, 1 % traces";

export const keys: Section = {
  name: "keys",
  title: "What keys, limits, the access log and traces add to a small request",
  note:
    "The same small requests to four gateways: one with nothing of it; one with the access log; one whose key also has all three kinds of limits; and one that also " +
    "traces 1 % of the requests. A process keeps a speed of its own, so each round starts all four anew, with another one first, and measures them three times in turns. " +
    "The bound compares the medians of one round: the mean of those ratios, and between what it is in 19 of 20 such benches.",
  columns: [
    { metric: "cpu", title: "CPU µs per request", digits: 1 },
    { metric: "rate", title: "requests per second", digits: 0 },
  ],
  bounds: [
    {
      what: "CPU of a small request with key, limits, access log and 1 % traces, over one without",
      limit: 1.2,
      unit: " x",
      value: (results) => addedShare(results)?.mean,
      interval: addedShare,
    },
  ],
  maxSecs: 400,
  async measure(bench) {
    const starts = gatewaysOf(bench);
    const load = smallChat();
    await bench.rounds(async (round) => {
      const first = round % starts.length;
      const targets: Target[] = [];
      for (const start of [...starts.slice(first), ...starts.slice(0, first)]) targets.push(...(await start()));
      await warmUp(bench, targets, load);
      for (let turn = 0; turn < TURNS; turn += 1)
        for (const target of targets) await recordCpu(bench, target, load, { lanes: 32, total: 8000 });
      for (const target of targets) await target.stop();
    });
  },
};

/** How often each process is measured. */
const TURNS = 3;

/** The key is the one that the bench's requests have. */
const CONFIG = `
api_keys:
  - name: team
    key: client-key
    requests_per_minute: 100000000
    tokens_per_minute: 1000000000
    max_concurrent_requests: 1000
`;

/** What starts each of the four gateways. */
function gatewaysOf(bench: Bench): (() => Promise<Target[]>)[] {
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
  return rows.map(
    ([row, flags]) =>
      () =>
        bench.start(["pointsman"], { policy: "round_robin", workers: bench.engines, flags, row }),
  );
}

function addedShare(results: Results): Mean | undefined {
  const [plain, all] = [PLAIN, ALL].map((row) => results.values(row, "cpu"));
  const ratios: number[] = [];
  for (let at = 0; at + TURNS <= Math.min(plain?.length ?? 0, all?.length ?? 0); at += TURNS) {
    const [without = 0, cpu = 0] = [plain, all].map((values) => median(values?.slice(at, at + TURNS) ?? []));
    ratios.push(cpu / without);
  }
  return meanRatio(ratios);
}
