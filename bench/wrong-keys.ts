/**
 * What a flood of wrong keys does to clients with right ones: the latencies of a steady client alone, beside a flood of so many requests a second
 * at a bare server of Bun's, and beside the same flood of wrong keys at the gateway, in turns. Flood, client, engine, gateway and bare server share the machine: what the
 * flood takes from all of them without ever meeting the gateway is in the second figure, so the third over the second is the gateway's own part.
 * Each ratio is the median of those of the turns, whose three figures are of the same seconds; beside it that of all turns' requests together.
 * Before the turns both servers are flooded for a second each, until Bun's compiler is done with what a flood runs. It ends by itself within 80 s: a turn
 * that might last longer does not begin, and a request without an answer fails the run.
 *
 *   bun bench/wrong-keys.ts [--wrong 10000] [--right 200] [--turns 6] [--secs 2] [--fresh] [--tls] [--tokens]
 *
 * `--fresh`: each wrong key comes over a connection of its own. `--tls`: with TLS. `--tokens`: the wrong keys are tokens of an issuer that the
 * gateway takes, each with another wrong signature.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startEngine } from "../src/engine-sim/engine.ts";
import { Issuer } from "../test/support/issuer.ts";
import { median, percentile } from "./lib/statistics.ts";
import { storeKeys } from "./lib/stored-keys.ts";
import { writeTlsFiles } from "./lib/tls-files.ts";
import { BODY, flood, serveBare } from "./lib/wrong-flood.ts";

const { values } = parseArgs({
  options: {
    wrong: { type: "string", default: "10000" },
    right: { type: "string", default: "200" },
    turns: { type: "string", default: "6" },
    secs: { type: "string", default: "2" },
    fresh: { type: "boolean", default: false },
    tls: { type: "boolean", default: false },
    tokens: { type: "boolean", default: false },
    flood: { type: "string" },
    token: { type: "string" },
    bare: { type: "boolean", default: false },
  },
});
/** No turn begins that might end later than this, ms after the start. */
const LAST_END_MS = 65_000;
/** How long an answer, and a gateway that starts, may take, ms. */
const MOST_WAIT_MS = 10_000;
const SCHEME = values.tls ? "https" : "http";
/** The certificate is for localhost; who has signed it does not matter here. */
const TLS = values.tls ? { tls: { rejectUnauthorized: false } } : {};

/** Latencies of a client that asks at a steady pace, ms. */
async function right(port: number, key: string, secs: number, perSec: number): Promise<number[]> {
  const took: number[] = [];
  const waits: Promise<void>[] = [];
  const request = {
    method: "POST",
    body: BODY,
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
  };
  const startedAt = performance.now();
  for (let count = 0; count < secs * perSec; count += 1) {
    const at = startedAt + (count * 1000) / perSec;
    const wait = at - performance.now();
    if (wait > 0) await Bun.sleep(wait);
    const begun = performance.now();
    const ask = async (): Promise<void> => {
      const answer = await fetch(`${SCHEME}://127.0.0.1:${port}/v1/chat/completions`, {
        ...request,
        ...TLS,
        signal: AbortSignal.timeout(MOST_WAIT_MS),
      });
      await answer.arrayBuffer();
      if (answer.status !== 200) throw new Error(`a right key is answered ${answer.status}`);
      took.push(performance.now() - begun);
    };
    waits.push(ask());
  }
  await Promise.all(waits);
  return took;
}

/** Runs this file as another process. */
function another(...args: readonly string[]): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  return Bun.spawn([process.execPath, import.meta.path, ...args], { stdout: "pipe" });
}

interface Started {
  readonly port: number;
  readonly key: string;
  /** A token that the gateway would take; undefined where it takes none. */
  readonly token: string | undefined;
}

/** Starts a gateway with one key in a store, and with an issuer of tokens where these are wanted. What was started ends with this process. */
async function startGateway(): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), "pointsman-wrong-keys-"));
  const store = join(folder, "keys.db");
  const [key = ""] = await storeKeys(store, 1);
  const engine = await startEngine({ model: "sim-1", instant: true });
  const args = ["--port", "0", "--prometheus-port", "0", "--key-store", store, "--worker", engine.url];
  if (values.tls) {
    const { certPath, keyPath } = writeTlsFiles(folder);
    args.push("--tls-cert-path", certPath, "--tls-key-path", keyPath);
  }
  let token: string | undefined;
  if (values.tokens) {
    const issuer = new Issuer();
    await issuer.addKey("k1");
    token = await issuer.sign("k1", { roles: ["client"] });
    args.push("--jwt-issuer", issuer.url, "--jwt-audience", "gateway");
  }
  const gateway = Bun.spawn([process.execPath, join(import.meta.dir, "../src/main.ts"), ...args], { stdout: "pipe" });
  process.on("exit", () => {
    gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  const reader = gateway.stdout.getReader();
  const first = await reader.read();
  const port = Number(/"url":"https?:\/\/[^:"]+:(\d+)"/.exec(Buffer.from(first.value ?? []).toString())?.[1]);
  void (async () => {
    while (!(await reader.read()).done) continue;
  })();
  const until = performance.now() + MOST_WAIT_MS;
  while (!(await fetch(`${SCHEME}://127.0.0.1:${port}/readiness`, TLS)).ok) {
    if (performance.now() > until) throw new Error("the gateway does not get ready");
    await Bun.sleep(20);
  }
  return { port, key, token };
}

async function startBare(): Promise<number> {
  const bare = another("--bare", ...kindOfFlood(undefined));
  process.on("exit", () => bare.kill());
  return Number(Buffer.from((await bare.stdout.getReader().read()).value ?? []).toString());
}

/** One figure of all turns. */
interface Case {
  readonly what: string;
  /** Where the flood goes. */
  readonly floodedPort: number | undefined;
  /** Latencies of each turn, in rising order, ms. */
  readonly turns: (readonly number[])[];
  /** Answers that the flood got. */
  refused: number;
}

function kindOfFlood(token: string | undefined): string[] {
  const flags = [values.fresh ? "--fresh" : "", values.tls ? "--tls" : ""].filter((flag) => flag !== "");
  return token === undefined ? flags : [...flags, "--token", token];
}

function startFlood(port: number, secs: number, token: string | undefined): ReturnType<typeof another> {
  return another("--flood", String(port), "--secs", String(secs), "--wrong", values.wrong, ...kindOfFlood(token));
}

async function takeTurn(
  one: Case,
  token: string | undefined,
  ask: () => Promise<number[]>,
  secs: number,
): Promise<void> {
  const child = one.floodedPort === undefined ? undefined : startFlood(one.floodedPort, secs + 1, token);
  await Bun.sleep(500);
  one.turns.push((await ask()).toSorted((a, b) => a - b));
  if (child) one.refused += Number(await new Response(child.stdout).text());
}

function told({ what, turns, refused }: Case, secs: number): string {
  const all = turns.flat().toSorted((a, b) => a - b);
  const [half, most] = [0.5, 0.99].map((share) => percentile(all, share).toFixed(2));
  return `${what}: p50 ${half} ms, p99 ${most} ms; ${Math.round(refused / (turns.length * (secs + 1)))} a second were refused`;
}

/** The median of the turns' ratios of a percentile, the least and the most of them, and the ratio of all turns together. */
function ratio(over: Case, under: Case, share: number): string {
  const ofAll = ({ turns }: Case): number =>
    percentile(
      turns.flat().toSorted((a, b) => a - b),
      share,
    );
  const ratios = over.turns.map((turn, at) => percentile(turn, share) / percentile(under.turns[at] ?? [], share));
  const [least, most] = [Math.min(...ratios), Math.max(...ratios)].map((one) => one.toFixed(2));
  return `${median(ratios).toFixed(2)} (${least}-${most}; together ${(ofAll(over) / ofAll(under)).toFixed(2)})`;
}

async function main(): Promise<void> {
  const [{ port, key, token }, barePort] = await Promise.all([startGateway(), startBare()]);
  const [secs, perSec] = [Number(values.secs), Number(values.right)];
  const ask = (): Promise<number[]> => right(port, key, secs, perSec);
  await ask();
  for (const flooded of [barePort, port]) await startFlood(flooded, 1, token).exited;
  const alone: Case = { what: "alone", floodedPort: undefined, turns: [], refused: 0 };
  const bare: Case = { what: "beside a flood at a bare server", floodedPort: barePort, turns: [], refused: 0 };
  const wrong: Case = { what: "beside a flood of wrong keys", floodedPort: port, turns: [], refused: 0 };
  let longest = 0;
  for (let turn = 0; turn < Number(values.turns); turn += 1) {
    const begun = performance.now();
    if (begun + longest > LAST_END_MS) break;
    // Each goes first, second and third equally often.
    const order = [alone, bare, wrong].map((_, at, all) => all[(at + turn) % all.length]);
    for (const one of order) if (one) await takeTurn(one, token, ask, secs);
    longest = Math.max(longest, performance.now() - begun);
  }
  for (const one of [alone, bare, wrong]) console.error(told(one, secs));
  for (const [what, under] of [
    ["alone", alone],
    ["a flood at a bare server", bare],
  ] as const)
    console.error(`wrong keys over ${what}: p50 ${ratio(wrong, under, 0.5)}, p99 ${ratio(wrong, under, 0.99)}`);
  console.error(`${alone.turns.length} turns of ${secs} s; load ${loadavg()[0]?.toFixed(2)}`);
  process.exit(0);
}

if (values.bare) serveBare(values.tls);
else if (values.flood === undefined) await main();
else
  await flood({
    port: Number(values.flood),
    secs: Number(values.secs),
    perSec: Number(values.wrong),
    isFresh: values.fresh,
    isTls: values.tls,
    token: values.token,
  });
