/**
 * CPU of a gRPC client per streamed message: a bare `node:http2` client that does nothing but take messages apart, ours
 * with everything on, and grpc-js. They take turns in every round; the server is a process of its own. CPU is that of this
 * process, user and system.
 *
 * What did not help: waking a reader only after all frames of a socket read (Bun runs the reader between them anyway, so there
 * was nothing to gather); one window for the connection larger than that of a stream (streams stand still, see connection.ts).
 * What is left above the bare client is the promise of a reader that waits.
 *
 *   bun run bench/grpc-transport.ts [--rounds 5] [--streams 16] [--messages 2000] [--pace-ms 0]
 */
import { loadavg } from "node:os";
import { connect } from "node:http2";
import { parseArgs } from "node:util";
import { type ChannelOptions, Client, credentials } from "@grpc/grpc-js";
import { GrpcTransport } from "../src/transport/grpc/grpc-transport.ts";
import { frameMessage, MessageFramer } from "../src/transport/grpc/message-framer.ts";
import { median } from "./lib/statistics.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    streams: { type: "string", default: "16" },
    messages: { type: "string", default: "2000" },
    "pace-ms": { type: "string", default: "0" },
    only: { type: "string", default: "bare,ours,ours-batched,grpc-js" },
  },
});
const streams = Number(values.streams);
const messages = Number(values.messages);
const METHOD = "/bench.Bench/Stream";
const TIMEOUTS = { connectMs: 2000, firstByteMs: 60_000, idleMs: 60_000 };

const server = Bun.spawn([process.execPath, `${import.meta.dir}/grpc-backend.ts`, values.messages, values["pace-ms"]], {
  stdout: "pipe",
  stderr: "inherit",
});
const reader = server.stdout.getReader();
const port = Buffer.from((await reader.read()).value ?? [])
  .toString()
  .trim();
const request = Buffer.from("a request of some bytes");

const transport = new GrpcTransport();
const session = connect(`http://127.0.0.1:${port}`);
const channelOptions: ChannelOptions = { "grpc.max_receive_message_length": -1 };
const grpcJs = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), channelOptions);

const CLIENTS: Readonly<Record<string, () => Promise<number>>> = {
  bare: () =>
    new Promise((resolve) => {
      const framer = new MessageFramer(4_194_304);
      let count = 0;
      const stream = session.request({ ":method": "POST", ":path": METHOD, "content-type": "application/grpc" });
      const out: Uint8Array[] = [];
      stream.on("data", (piece: Uint8Array) => {
        framer.push(piece, out);
        count += out.length;
        out.length = 0;
      });
      stream.on("close", () => resolve(count));
      stream.end(frameMessage(request));
    }),
  async ours() {
    const stream = transport.serverStream(`grpc://127.0.0.1:${port}`, METHOD, request, {
      deadline: transport.now() + 600_000,
      timeouts: TIMEOUTS,
    });
    for (let count = 0; ; count += 1) {
      const next = stream.read();
      if ((next instanceof Promise ? await next : next) === undefined) return count;
    }
  },
  async "ours-batched"() {
    const stream = transport.serverStream(`grpc://127.0.0.1:${port}`, METHOD, request, {
      deadline: transport.now() + 600_000,
      timeouts: TIMEOUTS,
    });
    for (let count = 0; ;) {
      const next = stream.readAvailable();
      const batch = next instanceof Promise ? await next : next;
      if (batch.length === 0) return count;
      count += batch.length;
    }
  },
  "grpc-js": () =>
    new Promise((resolve, reject) => {
      let count = 0;
      const call = grpcJs.makeServerStreamRequest(
        METHOD,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        request,
      );
      call.on("data", () => (count += 1));
      call.on("end", () => resolve(count));
      call.on("error", reject);
    }),
};

const names = values.only.split(",");
const results = new Map<string, number[]>(names.map((name) => [name, []]));
const before = loadavg();
for (let round = -1; round < Number(values.rounds); round += 1) {
  for (const name of names) {
    const run = CLIENTS[name];
    if (!run) throw new Error(`no client ${name}`);
    const start = process.cpuUsage();
    const counts = await Promise.all(Array.from({ length: streams }, run));
    const { user, system } = process.cpuUsage(start);
    const got = counts.reduce((sum, count) => sum + count, 0);
    if (got !== streams * messages) throw new Error(`${name} got ${got} messages of ${streams * messages}`);
    // The first round warms up.
    if (round >= 0) results.get(name)?.push((user + system) / got);
  }
}
console.log(
  `${streams} streams x ${messages} messages, pace ${values["pace-ms"]} ms, ${values.rounds} rounds, load average before ${before.map((load) => load.toFixed(2)).join(" ")}`,
);
console.log("| client | µs CPU per message, median (min-max) |\n|---|---|");
for (const [name, all] of results) {
  console.log(
    `| ${name} | ${median(all).toFixed(2)} (${Math.min(...all).toFixed(2)}-${Math.max(...all).toFixed(2)}) |`,
  );
}
session.destroy();
transport[Symbol.dispose]();
grpcJs.close();
server.kill();
await server.exited;
