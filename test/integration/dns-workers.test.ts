import { createSocket } from "node:dgram";
import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemNames } from "../../src/worker/sources/system-names.ts";
import { eventually } from "../faults/observe.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { startProcess } from "../support/process.ts";

/** Times of checks that a test can wait for. */
const QUICK = ["--health-check-interval-secs", "0.1", "--worker-startup-check-interval", "0.05"];

async function urlsOf(gateway: string): Promise<string[]> {
  const { workers } = (await (await fetch(`${gateway}/workers`)).json()) as { workers: Record<string, string>[] };
  return workers.filter(({ status }) => status === "ready").map(({ url = "" }) => url);
}

test("the program serves from the addresses of a name, says when one is not found, and takes another name at run time", async () => {
  await using engine = await startEngine({ model: "sim-1" });
  const { port } = new URL(engine.url);
  const file = join(mkdtempSync(join(tmpdir(), "pointsman-dns-")), "config.yaml");
  const names = (...list: string[]): void => writeFileSync(file, `worker_dns: ${JSON.stringify(list)}\n`);
  names(`http://localhost:${port}`, "http://no.such.invalid:8000");
  await using gateway = await startProcess(["--config", file, "--shutdown-delay-secs", "0"]);
  await eventually(async () => (await urlsOf(gateway.url)).length === 1, "the address of localhost serves");
  expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
  await eventually(() => gateway.output.includes("no.such.invalid"), "it is told that a name is not found");
  names("http://no.such.invalid:8000");
  gateway.signal("SIGHUP");
  await eventually(async () => (await urlsOf(gateway.url)).length === 0, "the worker of the old name leaves");
  names(`http://localhost:${port}`);
  gateway.signal("SIGHUP");
  await eventually(async () => (await urlsOf(gateway.url)).length === 1, "the worker is back");
});

test("an engine behind a name has a worker for each of its data-parallel ranks, and another number of them when it comes back", async () => {
  const engine = await startEngine({ kind: "sglang", model: "sim-1", dpSize: 3 });
  const port = Number(new URL(engine.url).port);
  await using gateway = await startProcess(["--worker-dns", `http://localhost:${port}`, "--dp-aware", ...QUICK]);
  const ranks = async (): Promise<string> =>
    (await urlsOf(gateway.url))
      .map((url) => url.slice(url.lastIndexOf("@")))
      .toSorted()
      .join();
  await eventually(async () => (await ranks()) === "@0,@1,@2", "each rank serves");
  for (let count = 0; count < 9; count += 1) await (await post(`${gateway.url}/v1/chat/completions`, HELLO)).text();
  expect(new Set(engine.requests.map(({ rank }) => rank)).size).toBe(3);
  await engine.stop();
  await eventually(async () => (await ranks()) === "", "none serves");
  await using _next = await startEngine({ kind: "sglang", model: "sim-1", dpSize: 2, port });
  await eventually(async () => (await ranks()) === "@0,@1", "the ranks of the new engine serve");
}, 30_000);

test("SRV records are read from a DNS server", async () => {
  const server = createSocket("udp4");
  server.on("message", (question, { port, address }) => server.send(answerOf(question), port, address));
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  try {
    const records = await systemNames([`127.0.0.1:${server.address().port}`]).services("_http._tcp.engines.test");
    expect(records).toMatchObject([
      { name: "a.engines.test", port: 8001, priority: 0 },
      { name: "b.engines.test", port: 8002, priority: 7 },
    ]);
  } finally {
    server.close();
  }
});

/** Two SRV records for whatever is asked (RFC 1035, 4.1; RFC 2782). */
function answerOf(query: Buffer): Buffer {
  let end = 12;
  while (query[end] !== 0) end += (query[end] ?? 0) + 1;
  const question = query.subarray(12, end + 5);
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(2, 6);
  return Buffer.concat([head, question, srv("a", 8001, 0), srv("b", 8002, 7)]);
}

function srv(label: string, port: number, priority: number): Buffer {
  const target = Buffer.concat(
    [label, "engines", "test", ""].map((part) => Buffer.from([part.length, ...Buffer.from(part)])),
  );
  const fixed = Buffer.alloc(18);
  // The name is that of the question.
  fixed.writeUInt16BE(0xc00c, 0);
  fixed.writeUInt16BE(33, 2);
  fixed.writeUInt16BE(1, 4);
  fixed.writeUInt32BE(5, 6);
  fixed.writeUInt16BE(6 + target.length, 10);
  fixed.writeUInt16BE(priority, 12);
  fixed.writeUInt16BE(1, 14);
  fixed.writeUInt16BE(port, 16);
  return Buffer.concat([fixed, target]);
}
