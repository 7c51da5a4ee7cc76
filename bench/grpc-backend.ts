/**
 * A server that streams messages of 35 bytes, each in a frame of its own, for bench/grpc-transport.ts: MESSAGES PACE_MS.
 * With no pace it goes as fast as it can, yielding after each turn over the streams, as an engine does after a step.
 */
import { createServer, type ServerHttp2Stream } from "node:http2";
import { frameMessage } from "../src/transport/grpc/message-framer.ts";

const messages = Number(process.argv[2]);
const paceMs = Number(process.argv[3]);
const message = frameMessage(Buffer.alloc(35, 0x2a));
const running = new Map<ServerHttp2Stream, number>();
let isStepping = false;

function step(): void {
  for (const [stream, left] of running) {
    if (stream.writableNeedDrain) continue;
    stream.write(message);
    if (left > 1) running.set(stream, left - 1);
    else {
      running.delete(stream);
      stream.end();
    }
  }
  isStepping = running.size > 0;
  if (!isStepping) return;
  if (paceMs > 0) setTimeout(step, paceMs);
  else setImmediate(step);
}

const server = createServer();
server.on("stream", (stream: ServerHttp2Stream) => {
  stream.on("error", () => undefined);
  stream.resume();
  stream.on("end", () => {
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    running.set(stream, messages);
    if (!isStepping) {
      isStepping = true;
      setImmediate(step);
    }
  });
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object") console.log(address?.port);
});
