import { valueBound } from "../lib/bounds.ts";
import { startEngines } from "../lib/engines.ts";
import { openLoop } from "../lib/load.ts";
import { recordCpu, warmUp } from "../lib/measure.ts";
import { smallChat } from "../lib/payloads.ts";
import { cpuMicros, residentMb } from "../lib/processes.ts";
import type { Bench, Section } from "../lib/section.ts";
import { median, percentile } from "../lib/statistics.ts";
import type { Target } from "../lib/targets.ts";

const WORKERS = 10_000;
/** Beyond those, to be added and removed again. */
const GUESTS = 100;
/** Processes that listen for them, so that none needs more descriptors than it may have. */
const PROCESSES = 4;
const PORTS = 100;
const REGISTERED_AT_ONCE = 32;
const READY_MS = 60_000;
const LISTINGS = 10;
const SECONDS = 4;
/** How long it is watched at rest, ms. */
const REST_MS = 3000;
const ROW = "pointsman";

export const fleet: Section = {
  name: "fleet",
  title: "10,000 registered workers",
  note:
    "Each an address and port of its own on loopback, registered over the API, with the default health checks (1,000 a second in all), " +
    "cache_aware. Times are those that a client of the API sees, with one request at a time; CPU at rest is what the checks cost.",
  columns: [
    { metric: "add", title: "add, ms", digits: 2 },
    { metric: "remove", title: "remove, ms", digits: 2 },
    { metric: "list", title: "`GET /workers`, ms", digits: 1 },
    { metric: "p50", title: "p50 at 200/s, ms", digits: 2 },
    { metric: "p99", title: "p99 at 200/s, ms", digits: 2 },
    { metric: "cpu", title: "CPU µs per small JSON request", digits: 1 },
    { metric: "rest", title: "cores used at rest", digits: 3 },
    { metric: "register", title: "workers registered per second", digits: 0 },
    { metric: "rss", title: "RSS, MB", digits: 0 },
  ],
  bounds: [
    valueBound("adding a worker to 10,000, p50", "add", 1, " ms"),
    valueBound("removing a worker of 10,000, p50", "remove", 1, " ms"),
  ],
  maxSecs: 80,
  async measure(bench) {
    const urls = await startFleet(bench);
    const [first = "", ...others] = urls;
    const [target] = await bench.start([ROW], { policy: "cache_aware", workers: [first] });
    if (!target) return;
    const from = performance.now();
    await registerAll(target.origin, others.slice(0, WORKERS - 1));
    bench.record(ROW, "register", ((WORKERS - 1) * 1000) / (performance.now() - from));
    await untilReady(target.origin);
    await warmUp(bench, [target], smallChat());
    await bench.rounds(() => recordFleet(bench, target, others.slice(WORKERS - 1)));
  },
};

async function startFleet(bench: Bench): Promise<string[]> {
  const urls: string[] = [];
  const addresses = (WORKERS + GUESTS) / PORTS;
  for (let index = 0; index < PROCESSES; index += 1) {
    const share = Math.ceil((addresses * (index + 1)) / PROCESSES) - Math.ceil((addresses * index) / PROCESSES);
    const engines = await startEngines(bench.logs, {
      firstPort: 19_000 + index * PORTS,
      ports: PORTS,
      addresses: share,
    });
    bench.defer(() => engines.program.stop());
    urls.push(...engines.urls);
  }
  return urls;
}

async function registerAll(origin: string, urls: readonly string[]): Promise<void> {
  const left = urls.values();
  const registering = async (): Promise<void> => {
    for (const url of left) await addWorker(origin, url);
  };
  await Promise.all(Array.from({ length: REGISTERED_AT_ONCE }, registering));
}

/** Its id. */
async function addWorker(origin: string, url: string): Promise<string> {
  const response = await fetch(`${origin}/workers`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ url }),
  });
  const { worker_id: id } = (await response.json()) as { worker_id?: string };
  if (response.status !== 202 || id === undefined) throw new Error(`${url} was not taken: ${response.status}`);
  return id;
}

async function untilReady(origin: string): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const metrics = await (await fetch(`${origin}/metrics`)).text();
    const ready = Number(/pointsman_workers\{status="ready"\} (\d+)/.exec(metrics)?.[1] ?? 0);
    if (ready === WORKERS) return;
    if (performance.now() > deadline) throw new Error(`only ${ready} of ${WORKERS} workers became ready`);
    await Bun.sleep(250);
  }
}

async function recordFleet(bench: Bench, target: Target, guests: readonly string[]): Promise<void> {
  const { origin } = target;
  const ids: string[] = [];
  bench.record(ROW, "add", await medianMs(guests, async (url) => void ids.push(await addWorker(origin, url))));
  const remove = (id: string): Promise<Response> => fetch(`${origin}/workers/${id}`, { method: "DELETE" });
  bench.record(ROW, "remove", await medianMs(ids, remove));
  const listing = async (): Promise<string> => (await fetch(`${origin}/workers`)).text();
  bench.record(ROW, "list", await medianMs(Array.from({ length: LISTINGS }), listing));
  const result = await openLoop(origin, smallChat(), 200, SECONDS);
  bench.note(ROW, result);
  bench.record(ROW, "p50", percentile(result.latencies, 0.5));
  bench.record(ROW, "p99", percentile(result.latencies, 0.99));
  await recordCpu(bench, target, smallChat(), { lanes: 32, total: 8000 });
  await recordRest(bench, target);
  bench.record(ROW, "rss", residentMb(target.pid));
}

async function recordRest(bench: Bench, target: Target): Promise<void> {
  const [from, before] = [performance.now(), cpuMicros(target.pid)];
  await Bun.sleep(REST_MS);
  bench.record(ROW, "rest", (cpuMicros(target.pid) - before) / 1000 / (performance.now() - from));
}

async function medianMs<T>(all: readonly T[], once: (one: T) => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (const one of all) {
    const from = performance.now();
    await once(one);
    times.push(performance.now() - from);
  }
  return median(times);
}
