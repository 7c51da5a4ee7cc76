import { ratioBound } from "../lib/bounds.ts";
import { Lane } from "../lib/lane.ts";
import { openLanes } from "../lib/load.ts";
import { recordCpu, warmUp } from "../lib/measure.ts";
import { smallChat } from "../lib/payloads.ts";
import { cpuMicros, residentMb } from "../lib/processes.ts";
import type { Bench, Section } from "../lib/section.ts";
import type { StartOptions, Target } from "../lib/targets.ts";
import { writeTlsFiles } from "../lib/tls-files.ts";

const NAMES = ["pointsman", "nginx"];
const HANDSHAKES = 2000;
const AT_ONCE = 16;
const IDLE = 10_000;

export const tlsClients: Section = {
  name: "tls-clients",
  title: "Clients with TLS",
  note:
    "TLS 1.3 with an ECDSA certificate (P-256) and without resumption. Small JSON requests on 32 kept connections, with TLS and without; 2,000 new connections, " +
    "each closed after its handshake; and 10,000 connections after their handshake that never ask. nginx has one process and chooses by turn.",
  columns: [
    { metric: "cpuPlain", title: "CPU µs per request without TLS", digits: 1 },
    { metric: "cpuTls", title: "with TLS", digits: 1 },
    { metric: "handshake", title: "CPU µs per handshake", digits: 0 },
    { metric: "perCpuSecond", title: "handshakes per CPU second", digits: 0 },
    { metric: "idle", title: "RSS for 10,000 idle clients, MB", digits: 0 },
  ],
  bounds: [
    ratioBound("CPU of a TLS handshake, over nginx", "handshake", ["nginx"], 1.5),
    { ...ratioBound("CPU that TLS adds to a small request, over the request", "cpuTls", [], 1.25), value: addedShare },
  ],
  maxSecs: 110,
  async measure(bench) {
    const options: StartOptions = { policy: "round_robin", workers: bench.engines };
    const tls = writeTlsFiles(bench.logs);
    const load = smallChat();
    const plain = await bench.start(NAMES, options);
    const secure = await bench.start(NAMES, { ...options, tls });
    for (const targets of [plain, secure]) await warmUp(bench, targets, load);
    const loop = { lanes: 32, total: 8000 };
    const all = [...plain, ...secure];
    await bench.inTurns(all, async (target) => {
      const isSecure = secure.includes(target);
      await recordCpu(bench, target, load, { ...loop, suffix: isSecure ? "Tls" : "Plain" });
      if (isSecure) await recordHandshakes(bench, target);
    });
    for (const target of secure) await recordIdle(bench, target);
  },
};

/** With TLS over without. */
function addedShare(results: Parameters<ReturnType<typeof ratioBound>["value"]>[0]): number | undefined {
  const [tls, plain] = [results.median("pointsman", "cpuTls"), results.median("pointsman", "cpuPlain")];
  return tls === undefined || plain === undefined ? undefined : tls / plain;
}

async function recordHandshakes(bench: Bench, target: Target): Promise<void> {
  const before = cpuMicros(target.pid);
  for (let count = 0; count < HANDSHAKES; count += AT_ONCE) {
    const lanes = await Promise.all(Array.from({ length: AT_ONCE }, () => Lane.open(target.origin)));
    for (const lane of lanes) lane.close();
  }
  await Bun.sleep(250);
  const micros = (cpuMicros(target.pid) - before) / HANDSHAKES;
  bench.record(target.name, "handshake", micros);
  bench.record(target.name, "perCpuSecond", 1_000_000 / micros);
}

async function recordIdle(bench: Bench, target: Target): Promise<void> {
  const before = residentMb(target.pid);
  const lanes = await openLanes(target.origin, IDLE);
  bench.record(target.name, "idle", residentMb(target.pid) - before);
  for (const lane of lanes) lane.close();
}
