/**
 * What the probes of many quiet workers cost, or with `--down` of as many that refuse connections: the CPU time of gateways that do
 * nothing else. They have been down for `--down` seconds when the measurement begins. Gateways of other checkouts run at the same
 * time beside this one's, so that the load of the machine is the same for all.
 *
 *   bun bench/probes.ts [--workers 1000] [--interval 10] [--secs 30] [--down SECS] [--beside CHECKOUT]...
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loopbackAddresses } from "./lib/loopback.ts";
import { cpuMicros, type Program, startProgram } from "./lib/processes.ts";

const { values } = parseArgs({
  options: {
    workers: { type: "string", default: "1000" },
    interval: { type: "string", default: "10" },
    secs: { type: "string", default: "30" },
    down: { type: "string" },
    beside: { type: "string", multiple: true, default: [] },
  },
});
const count = Number(values.workers);
const interval = Number(values.interval);
const secs = Number(values.secs);

let isOver = false;

/** Says that a gateway has ended which should not have. */
async function tellEnd({ exited }: Program, checkout: string): Promise<void> {
  await exited;
  if (!isOver) console.error(`the gateway of ${checkout} has ended`);
}

/** A gateway of one checkout, whose workers are all ready. */
async function startGateway(checkout: string, config: string, log: string): Promise<Program> {
  const program = startProgram([join(checkout, "bin/pointsman"), "--config", config], log);
  const urlIn = (): string | undefined => /"event":"listening".*?"url":"([^"]+)"/.exec(readFileSync(log, "utf8"))?.[1];
  void tellEnd(program, checkout);
  while (urlIn() === undefined) await Bun.sleep(50);
  const ready = async (): Promise<number> => {
    const { workers } = Object(await (await fetch(`${urlIn()}/workers`)).json());
    return (workers as { status: string }[]).filter(({ status }) => status === "ready").length;
  };
  while ((await ready()) < count) await Bun.sleep(200);
  return program;
}

const folder = mkdtempSync(join(tmpdir(), "pointsman-probes-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const models = { object: "list", data: [{ id: "many", object: "model", owned_by: "vllm" }] };
const fleet = Bun.serve({
  hostname: "0.0.0.0",
  port: 0,
  fetch: ({ url }) =>
    url.endsWith("/v1/models")
      ? Response.json(models)
      : new Response("", { status: url.endsWith("/health") ? 200 : 404 }),
});
const urls = loopbackAddresses(count).map((address) => `http://${address}:${fleet.port}`);
const config = join(folder, "pointsman.yaml");
writeFileSync(
  config,
  JSON.stringify({
    port: 0,
    prometheus_port: 0,
    health_check_interval_secs: interval,
    initial_workers: urls.map((url) => ({ url })),
  }),
);
const checkouts = [join(import.meta.dir, ".."), ...values.beside];
const programs: Program[] = [];
for (const [index, checkout] of checkouts.entries()) {
  programs.push(await startGateway(checkout, config, join(folder, `${index}.log`)));
}
// Each worker is probed twice before the measurement.
await Bun.sleep(2000 * interval);
if (values.down !== undefined) {
  await fleet.stop(true);
  await Bun.sleep(Number(values.down) * 1000);
}
const before = programs.map(({ pid }) => cpuMicros(pid));
await Bun.sleep(secs * 1000);
for (const [index, { pid }] of programs.entries()) {
  const percent = (cpuMicros(pid) - (before[index] ?? 0)) / (secs * 10_000);
  console.log(`${checkouts[index]}: ${percent.toFixed(2)} % of a core`);
}
const state = values.down === undefined ? "" : `, down for ${values.down} s`;
console.log(
  `${count} workers, each probed every ${interval} s${state}; load ${readFileSync("/proc/loadavg", "utf8").trim()}`,
);
isOver = true;
for (const program of programs) await program.stop();
process.exit(0);
