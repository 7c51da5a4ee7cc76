/**
 * What a flood of wrong keys does to clients with right ones: the latencies of a steady client alone, beside so many requests a second with wrong
 * keys, and beside the same flood at a bare server of Bun's, in turns. Flood, client, engine, gateway and bare server share the machine: what the
 * flood takes from all of them without ever meeting the gateway is in the third figure, so the second over the third is the gateway's own part.
 *
 *   bun bench/wrong-keys.ts [--wrong 10000] [--right 200] [--turns 5] [--secs 3]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startEngine } from "../src/engine-sim/engine.ts";
import { percentile } from "./lib/statistics.ts";
import { storeKeys } from "./lib/stored-keys.ts";

const { values } = parseArgs({
  options: {
    wrong: { type: "string", default: "10000" },
    right: { type: "string", default: "200" },
    turns: { type: "string", default: "5" },
    secs: { type: "string", default: "3" },
    flood: { type: "string" },
    bare: { type: "boolean", default: false },
  },
});
const HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json";
const BODY = JSON.stringify({ model: "sim-1", messages: [{ role: "user", content: "x" }], max_tokens: 1 });
/** Connections of the flood, how often it sends, ms, and how many of its requests may be without an answer. */
const LANES = 16;
const MOST_UNANSWERED = 320;
const TICK_MS = 1;

function message(key: string): string {
  return `${HEAD}\r\nauthorization: Bearer ${key}\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`;
}

/** Sends wrong keys for so many seconds. Prints how many were answered. */
async function flood(port: number, secs: number, perSec: number): Promise<void> {
  let answers = 0;
  const bytes = Buffer.from(message(`pm-${"a".repeat(12)}-${"b".repeat(43)}`));
  const lanes = await Promise.all(
    Array.from({ length: LANES }, () =>
      Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: {
          data: (_socket, data) => {
            answers += data.toString("latin1").split("HTTP/1.1 4").length - 1;
          },
        },
      }),
    ),
  );
  const startedAt = performance.now();
  let sent = 0;
  for (let now = startedAt; now - startedAt < secs * 1000; now = performance.now()) {
    const due = Math.min(((now - startedAt) * perSec) / 1000, answers + MOST_UNANSWERED);
    for (; sent < due; sent += 1) lanes[sent % LANES]?.write(bytes);
    await Bun.sleep(TICK_MS);
  }
  console.log(answers);
  process.exit(0);
}

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
      const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, request);
      await answer.arrayBuffer();
      if (answer.status !== 200) throw new Error(`a right key is answered ${answer.status}`);
      took.push(performance.now() - begun);
    };
    waits.push(ask());
  }
  await Promise.all(waits);
  return took;
}

/** Answers everything with 401 and looks at nothing. Prints its port. */
function serveBare(): void {
  const body = JSON.stringify({ error: { message: "no", type: "invalid_request_error", param: null, code: "no" } });
  const { port } = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(body, { status: 401, headers: { "content-type": "application/json" } }),
  });
  console.log(port);
}

/** Runs this file as another process. */
function another(...args: readonly string[]): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  return Bun.spawn([process.execPath, import.meta.path, ...args], { stdout: "pipe" });
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pointsman-wrong-keys-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const store = join(folder, "keys.db");
  const [key = ""] = await storeKeys(store, 1);
  const engine = await startEngine({ model: "sim-1", instant: true });
  const args = ["--port", "0", "--prometheus-port", "0", "--key-store", store, "--worker", engine.url];
  const gateway = Bun.spawn([process.execPath, join(import.meta.dir, "../src/main.ts"), ...args], { stdout: "pipe" });
  const reader = gateway.stdout.getReader();
  const first = await reader.read();
  const port = Number(/"url":"http:\/\/[^:"]+:(\d+)"/.exec(Buffer.from(first.value ?? []).toString())?.[1]);
  void (async () => {
    while (!(await reader.read()).done) continue;
  })();
  while (!(await fetch(`http://127.0.0.1:${port}/readiness`)).ok) await Bun.sleep(20);
  const [secs, perSec] = [Number(values.secs), Number(values.right)];
  const bare = another("--bare");
  const barePort = Number(Buffer.from((await bare.stdout.getReader().read()).value ?? []).toString());
  await right(port, key, secs, perSec);
  const floods: readonly (readonly [what: string, port: number | undefined])[] = [
    ["alone", undefined],
    ["beside a flood at a bare server", barePort],
    ["beside a flood of wrong keys", port],
  ];
  const took = floods.map((): number[] => []);
  const answered = floods.map(() => 0);
  for (let turn = 0; turn < Number(values.turns); turn += 1) {
    for (const [index, [, at]] of floods.entries()) {
      const child =
        at === undefined
          ? undefined
          : another("--flood", String(at), "--secs", String(secs + 1), "--wrong", values.wrong);
      await Bun.sleep(500);
      took[index]?.push(...(await right(port, key, secs, perSec)));
      if (child) answered[index] = (answered[index] ?? 0) + Number(await new Response(child.stdout).text());
    }
  }
  for (const [index, [what]] of floods.entries()) {
    const all = took[index]?.toSorted((a, b) => a - b) ?? [];
    const [half, most] = [0.5, 0.99].map((share) => percentile(all, share).toFixed(2));
    const rate = Math.round((answered[index] ?? 0) / (Number(values.turns) * (secs + 1)));
    console.error(`${what}: p50 ${half} ms, p99 ${most} ms; ${rate} a second were refused`);
  }
  gateway.kill();
  bare.kill();
  process.exit(0);
}

if (values.bare) serveBare();
else
  await (values.flood === undefined ? main() : flood(Number(values.flood), Number(values.secs), Number(values.wrong)));
