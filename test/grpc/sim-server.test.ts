import { expect, test } from "bun:test";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import {
  GenerateRequest,
  GenerateResponse,
  HealthCheckResponse,
} from "../../src/transport/grpc/generated/engine/vllm.ts";
import { VLLM } from "../../src/engine/vllm/methods.ts";

/** A simulated engine before a client that is not ours. */

const bytes = (value: Buffer): Buffer => value;

function request(maxTokens: number): Buffer {
  const message = GenerateRequest.fromPartial({
    requestId: "r",
    input: { $case: "text", value: "hello" },
    samplingParams: { maxTokens, ignoreEos: true },
    stream: true,
  });
  return Buffer.from(GenerateRequest.encode(message).finish());
}

test("grpc-js reads its streams and answers, and sees its errors", async () => {
  await using engine = await startGrpcEngine({ kind: "vllm" });
  const client = new Client(`127.0.0.1:${engine.port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("x-key", "value");
  let tokens = 0;
  const call = client.makeServerStreamRequest(VLLM.generate, bytes, bytes, request(40), metadata, {
    deadline: Date.now() + 5000,
  });
  for await (const message of call) {
    const { response } = GenerateResponse.decode(message as Buffer);
    if (response?.$case === "chunk") tokens += response.value.tokenIds.length;
  }
  expect(tokens).toBe(40);
  expect(engine.records[0]).toMatchObject({ outcome: "finished", metadata: { "x-key": "value" } });
  expect(engine.records[0]?.timeout).toMatch(/^[0-9]+[mu]$/);

  const unary = (path: string): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), (error, value) =>
        value ? resolve(value) : reject(error ?? new Error("no value")),
      );
    });
  expect(HealthCheckResponse.decode(await unary(VLLM.healthCheck)).healthy).toBe(true);
  const unknown = await unary("/vllm.grpc.engine.VllmEngine/Nothing").catch((error: ServiceError) => error.code);
  expect(unknown).toBe(status.UNIMPLEMENTED);
  client.close();
});

test("a call that grpc-js cancels, or whose deadline passes, frees the engine", async () => {
  await using engine = await startGrpcEngine({ kind: "vllm", msPerToken: 5 });
  const client = new Client(`127.0.0.1:${engine.port}`, credentials.createInsecure());
  const call = client.makeServerStreamRequest(VLLM.generate, bytes, bytes, request(10_000));
  call.once("data", () => call.cancel());
  expect(await new Promise((resolve) => call.once("error", (error: ServiceError) => resolve(error.code)))).toBe(
    status.CANCELLED,
  );
  const late = client.makeServerStreamRequest(VLLM.generate, bytes, bytes, request(10_000), new Metadata(), {
    deadline: Date.now() + 200,
  });
  late.resume();
  expect(await new Promise((resolve) => late.once("error", (error: ServiceError) => resolve(error.code)))).toBe(
    status.DEADLINE_EXCEEDED,
  );
  while (engine.running > 0) await Bun.sleep(2);
  expect(engine.records.map(({ outcome }) => outcome)).toEqual(["cancelled", "cancelled"]);
  client.close();
});
