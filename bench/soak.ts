/**
 * Whether the gateway holds what it should not: mixed load at a bounded rate, half of the clients leaving early, while engines are
 * killed and come back and workers are changed over the API. Exits with 1 where a bound is broken.
 *
 *   bun bench/soak.ts [--minutes 30] [--rate 60] [--threads 1] [--policy least_ttft] [--everything] [--tls] [--idle 10000]
 *
 * With `--everything`, keys, limits, an audit log, traces, a recording and a shadow policy are on, and operators change keys and the
 * configuration all the time. With `--tls`, clients speak TLS and the certificate is renewed every 20 seconds; with `--idle`, so many further clients are connected and
 * never ask, but for one request a minute each.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SoakFleet } from "./lib/soak-fleet.ts";
import { IdleClients, renewInTurn } from "./lib/soak-idle.ts";
import { SoakLoad } from "./lib/soak-load.ts";
import { growth, type Sample, SoakWatch } from "./lib/soak-watch.ts";
import { SoakOperators } from "./lib/soak-operators.ts";
import { startTarget } from "./lib/targets.ts";
import { writeTlsFiles } from "./lib/tls-files.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    rate: { type: "string", default: "60" },
    threads: { type: "string", default: "1" },
    policy: { type: "string", default: "least_ttft" },
    everything: { type: "boolean", default: false },
    tls: { type: "boolean", default: false },
    idle: { type: "string", default: "0" },
  },
});
const minutes = Number(values.minutes);
const ENGINES = 4;
const SAMPLE_MS = 2000;
/** For the last requests to end and idle connections to be closed, ms. */
const QUIET_MS = 15_000;
/** Growth that is noise of the collector over half an hour, MB a minute. */
const MAX_SLOPE = 0.5;
/**
 * Sockets that the end may have more than the beginning: probes and health checks are asked with `fetch`, which keeps some idle
 * connections to each engine, as many after four minutes as after half a one. A leak would be one for each kill or change.
 */
const SPARE_SOCKETS = 4 * ENGINES;
/** What a killed engine does to the requests that it had. */
const LOST_WITH_A_WORKER = /^(upstream_|no_available_workers$)/;

/** Of a long list. */
const SHOWN = 20;

const logs = mkdtempSync(join(tmpdir(), "pointsman-soak-"));
await using fleet = await SoakFleet.start(logs, ENGINES);
using operators = values.everything ? new SoakOperators(join(logs, "operators")) : undefined;
fleet.headers = operators?.headers ?? {};
const flags = [
  ...(operators?.flags ?? []),
  "--health-check-interval-secs",
  "1",
  "--drain-timeout-secs",
  "10",
  "--threads",
  values.threads,
];
// Of this process alone: its clients do not know the authority.
if (values.tls) process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
const tls = values.tls ? writeTlsFiles(logs) : undefined;
const gateway = await startTarget(
  "pointsman",
  { policy: values.policy, workers: fleet.urls, flags, ...(tls ? { tls } : {}) },
  logs,
);
if (!gateway) throw new Error("the gateway did not come up");
try {
  const watch = new SoakWatch(gateway);
  await Bun.sleep(SAMPLE_MS);
  const before = await watch.look();
  const idle = await IdleClients.open(gateway.origin, Number(values.idle));
  const renewals = tls && renewInTurn(tls);
  const load = new SoakLoad(gateway.origin);
  const running = [
    load.run(Number(values.rate)),
    fleet.killInTurn(),
    fleet.changeInTurn(gateway.origin),
    idle.askInTurn(),
    ...(operators ? [operators.workInTurn(gateway.origin)] : []),
  ];
  const until = performance.now() + minutes * 60_000;
  while (performance.now() < until) {
    await Bun.sleep(SAMPLE_MS);
    await watch.look();
  }
  const slope = growth(watch.samples);
  load.stop();
  fleet.stop();
  operators?.stop();
  renewals?.[Symbol.dispose]();
  const lost = idle.close();
  await Promise.all(running);
  await Bun.sleep(QUIET_MS);
  const end = await watch.look();
  printCounts("client", load.outcomes);
  if (tls) printCounts("TLS handshake", await watch.handshakes());
  printCounts("error, as the gateway counted it", await watch.errorCodes());
  console.log(`${Number(values.idle)} idle clients, ${lost} of them lost; ${renewals?.count ?? 0} certificates\n`);
  report(load, watch, { slope, before, end });
  if (lost > 0) process.exitCode = 1;
} finally {
  await gateway.stop();
}

function printCounts(title: string, counts: ReadonlyMap<string, number>): void {
  console.log(`| ${title} | count |\n|---|---|`);
  for (const [what, count] of [...counts].sort(([a], [b]) => a.localeCompare(b))) console.log(`| ${what} | ${count} |`);
  console.log("");
}

function report(
  load: SoakLoad,
  watch: SoakWatch,
  { slope, before, end }: { readonly slope: number; readonly before: Sample; readonly end: Sample },
): void {
  const unexplained = load.errors.filter(
    ({ outcome, at }) => !(LOST_WITH_A_WORKER.test(outcome) && fleet.explains(at)),
  );
  const apiErrors = [...fleet.apiErrors, ...(operators?.wrongAnswers ?? [])];
  console.log(
    `${minutes} minutes, ${load.count} clients, ${fleet.kills} engines killed, ${fleet.changes} changes, ${operators?.turns ?? 0} turns of operators\n`,
  );
  console.log("| | bound | measured |\n|---|---|---|");
  const checks = [
    check("slope of the least RSS of each minute, MB", slope, MAX_SLOPE, 2),
    check("requests in flight at the end", end.inFlight, 0, 0),
    check("sockets at the end", end.sockets, before.sockets + SPARE_SOCKETS, 0),
    check("errors that nothing explains", unexplained.length, 0, 0),
    check("answers of the API that were errors", apiErrors.length, 0, 0),
  ];
  const most = (of: (sample: Sample) => number): string => Math.max(...watch.samples.map(of)).toFixed(0);
  console.log(
    `\nRSS ${before.rssMb.toFixed(0)} MB before, at most ${most(({ rssMb }) => rssMb)}, ${end.rssMb.toFixed(0)} at the end; at most ` +
      `${most(({ sockets }) => sockets)} sockets and ${most(({ inFlight }) => inFlight)} leases and permits.`,
  );
  for (const { kind, outcome, at, ms } of unexplained.slice(0, SHOWN)) {
    console.log(
      `unexplained: ${kind} ${outcome} after ${ms.toFixed(0)} ms, ${(at / 1000).toFixed(0)} s from the start`,
    );
  }
  for (const error of apiErrors.slice(0, SHOWN)) console.log(`API: ${error}`);
  process.exitCode = checks.every(Boolean) ? 0 : 1;
}

function check(what: string, value: number, limit: number, digits: number): boolean {
  const isHeld = value <= limit;
  console.log(`| ${what} | ≤ ${limit} | ${value.toFixed(digits)} ${isHeld ? "PASS" : "FAIL"} |`);
  return isHeld;
}
