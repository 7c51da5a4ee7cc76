import { afterAll, beforeAll, expect, test } from "bun:test";
import zlib from "node:zlib";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { head, openWire } from "../faults/wire.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway, type TestGateway } from "../support/gateway.ts";

const CHAT = "/v1/chat/completions";
const LIMIT = 1_048_576;
const ENCODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => zlib.gzipSync(bytes),
  deflate: (bytes) => zlib.deflateSync(bytes),
  br: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }),
  zstd: (bytes) => zlib.zstdCompressSync(bytes),
};

let gateway: TestGateway;
let engine: SimulatedEngine;
beforeAll(async () => {
  engine = await startEngine();
  gateway = await startGateway({ workers: [engine.url], config: { maxPayloadSize: LIMIT } });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
});

async function codeOf(response: Response): Promise<unknown[]> {
  const { error } = (await response.json()) as { error?: { code: string } };
  return [response.status, error?.code];
}

for (const [coding, encode] of Object.entries(ENCODERS)) {
  test(`a body in ${coding} comes to the worker decoded, byte for byte, and without its encoding`, async () => {
    const text = JSON.stringify({
      ...HELLO,
      "x-number": 1.0,
      messages: [{ role: "user", content: "é".repeat(200_000) }],
    });
    const response = await post(gateway.url + CHAT, encode(Buffer.from(text)), { "content-encoding": coding });
    expect(response.status).toBe(200);
    const seen = engine.requests.at(-1);
    expect(seen?.body).toBe(text);
    expect([seen?.headers["content-encoding"], seen?.headers["content-length"]]).toEqual([
      undefined,
      String(Buffer.byteLength(text)),
    ]);
  });

  test(`a body in ${coding} may be no larger decoded than another`, async () => {
    const before = engine.requests.length;
    for (const bytes of [LIMIT + 1, 20_000_000]) {
      const bomb = encode(Buffer.alloc(bytes, " "));
      expect(bomb.length).toBeLessThan(LIMIT);
      const response = await post(gateway.url + CHAT, bomb, { "content-encoding": coding });
      expect(await codeOf(response)).toEqual([413, "request_too_large"]);
    }
    expect(engine.requests.length).toBe(before);
  });

  test(`a body in ${coding} that is cut is 400, and no worker hears of it`, async () => {
    const before = engine.requests.length;
    const whole = encode(Buffer.from(JSON.stringify(HELLO)));
    const response = await post(gateway.url + CHAT, whole.subarray(0, whole.length - 12), {
      "content-encoding": coding,
    });
    const [status, code] = await codeOf(response);
    expect([status, ["bad_content_encoding", "invalid_json"].includes(String(code))]).toEqual([400, true]);
    expect(engine.requests.length).toBe(before);
  });

  test(`a body in ${coding} may come in chunks, a byte at a time`, async () => {
    const bytes = encode(Buffer.from(JSON.stringify(HELLO)));
    const start = head(`POST ${CHAT}`, [
      "content-type: application/json",
      `content-encoding: ${coding}`,
      "transfer-encoding: chunked",
    ]);
    using wire = await openWire(gateway.url, start);
    for (const byte of bytes) {
      await wire.write(Buffer.concat([Buffer.from("1\r\n"), Buffer.from([byte]), Buffer.from("\r\n")]));
    }
    await wire.write("0\r\n\r\n");
    expect((await wire.answers(1))[0]?.status).toBe(200);
  });
}

test("a body that is said to be as it is, or of which nothing is said, is taken as it is", async () => {
  for (const coding of ["", "identity", "Identity"]) {
    const body = JSON.stringify(HELLO);
    const start = head(`POST ${CHAT}`, [
      "content-type: application/json",
      `content-encoding: ${coding}`,
      `content-length: ${body.length}`,
    ]);
    using wire = await openWire(gateway.url, start + body);
    expect([coding, (await wire.answers(1))[0]?.status]).toEqual([coding, 200]);
  }
});

test("the administration takes encoded bodies as well", async () => {
  const body = zlib.gzipSync(JSON.stringify({ url: "http://127.0.0.1:1" }));
  const response = await post(`${gateway.url}/workers`, body, { "content-encoding": "gzip" });
  expect(response.status).toBe(202);
});
