// A gRPC server of grpc-js for conformance tests, under Node or Bun. The request is JSON that says what to do; what
// the server sees is told as lines of JSON on stdout. `drain` on stdin: no new calls, those under way end.
import { createInterface } from "node:readline";
import { Metadata, Server, ServerCredentials } from "@grpc/grpc-js";

const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const written = new Map();
const bytes = (value) => value;
const method = (path, responseStream) => ({
  path,
  requestStream: false,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});

function begin(call) {
  const plan = JSON.parse(call.request.toString().split("\n")[0]);
  const deadline = call.getDeadline();
  tell({
    event: "start",
    id: plan.id,
    requestBytes: call.request.length,
    leftMs: typeof deadline === "number" ? deadline - Date.now() : deadline.getTime() - Date.now(),
    metadata: call.metadata.getMap(),
  });
  call.on("cancelled", () => tell({ event: "cancelled", id: plan.id }));
  return plan;
}

function trailers(plan) {
  const metadata = new Metadata();
  metadata.set("x-trailer", plan.id);
  return metadata;
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function stream(call) {
  const plan = begin(call);
  for (let index = 0; index < (plan.count ?? 0); index += 1) {
    if (call.cancelled) return;
    const body = Buffer.alloc(plan.size ?? 10, index % 251);
    if (!call.write(body)) await new Promise((resolve) => call.once("drain", resolve));
    written.set(plan.id, (written.get(plan.id) ?? 0) + body.length);
    if (plan.paceMs) await sleep(plan.paceMs);
  }
  if (plan.stalls) return;
  if (plan.status) call.emit("error", { code: plan.status, details: plan.message ?? "", metadata: trailers(plan) });
  else call.end(trailers(plan));
}

function unary(call, callback) {
  const plan = begin(call);
  if (plan.stalls) return;
  if (plan.status) callback({ code: plan.status, details: plan.message ?? "" });
  else callback(null, Buffer.alloc(plan.size ?? 10, 7), trailers(plan));
}

const server = new Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
server.addService(
  { Stream: method("/test.Test/Stream", true), Unary: method("/test.Test/Unary", false) },
  { Stream: (call) => void stream(call), Unary: unary },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  tell({ event: "listening", port });
});
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "drain") server.tryShutdown(() => tell({ event: "drained" }));
  if (line.startsWith("written ")) {
    const id = line.slice("written ".length);
    tell({ event: "written", id, bytes: written.get(id) ?? 0 });
  }
});
