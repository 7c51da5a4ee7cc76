import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { chunk, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { ELSEWHERE } from "../support/process.ts";
import { expectSameProcessServes, observe, openaiError, quantile, rssRise, unseenBy } from "./observe.ts";
import { chat, type FaultGateway, type Served, startFaultGateway } from "./setup.ts";
import { exchange, head, openWire } from "./wire.ts";

const LIMIT = 20 * 1024 * 1024;
const CHAT = "/v1/chat/completions";

let gateway: FaultGateway;
let engine: SimulatedEngine;
let served: Served;
beforeAll(async () => {
  gateway = await startFaultGateway(["--max-payload-size", String(LIMIT)]);
  engine = await startEngine({ model: "m" });
  served = await gateway.serve("m", [engine.url]);
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
});

/** Uploads pieces until the gateway has answered or closed; returns what was sent, in bytes. */
async function upload(
  start: string,
  piece: Uint8Array,
  total: number,
): Promise<{ sent: number; answer: string; isClosed: boolean }> {
  using wire = await openWire(gateway.url, start);
  let sent = 0;
  for (; sent < total && wire.received === "" && !wire.isClosed; sent += piece.length) {
    await wire.write(piece);
    // So that an answer can be seen between two pieces.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await wire.closed;
  return { sent, answer: wire.received, isClosed: wire.isClosed };
}

describe("bodies that are too large", () => {
  const huge = 100_000_000;
  const piece = Buffer.alloc(65_536, " ");
  const start = (path: string, ...more: string[]): string =>
    head(`POST ${path}`, ["content-type: application/json", `content-length: ${huge}`, ...more]);

  test("row 58: a length over the limit is refused before the body is read, in either shape", async () => {
    await unseenBy(engine, async () => {
      // The kernel takes some megabytes from a client when the gateway's turn is late: the best of three counts.
      const openai = await upload(start(CHAT), piece, huge);
      const others = [await upload(start(CHAT), piece, huge), await upload(start(CHAT), piece, huge)];
      const least = Math.min(...[openai, ...others].map(({ sent }) => sent));
      expect(least).toBeLessThanOrEqual(3_000_000);
      observe(58, `413 in both shapes after ${(least / 1e6).toFixed(2)} MB of ${huge / 1e6} sent`);
      expect(openai.isClosed).toBe(true);
      expect(openai.answer).toContain("HTTP/1.1 413");
      expect(openai.answer).toContain('"type":"invalid_request_error"');
      expect(openai.answer).toContain('"code":"request_too_large"');
      const anthropic = await upload(start("/v1/messages"), piece, huge);
      expect(anthropic.answer).toContain("HTTP/1.1 413");
      expect(anthropic.answer).toContain('{"type":"error","error":{"type":"request_too_large"');
    });
  });

  test("row 58: refusing it costs no memory", async () => {
    for (let count = 0; count < 20; count += 1) await upload(start(CHAT), piece, huge);
    const rise = await rssRise(gateway, async () => {
      for (let count = 0; count < 5; count += 1) await upload(start(CHAT), piece, huge);
    });
    expect(rise).toBeLessThanOrEqual(4);
    observe(58, `resident memory ${rise.toFixed(1)} MB more`);
  });

  test("row 58: a client that asks first is not told to go on", async () => {
    using wire = await openWire(gateway.url, start(CHAT, "expect: 100-continue"));
    const [first] = await wire.answers(1);
    observe(58, `with Expect: ${first?.status} comes first`);
    expect(first?.status).toBe(413);
  });

  test("row 58: one that asks first with a body that is taken is told to go on", async () => {
    const body = JSON.stringify(chat("m"));
    const asking = head(`POST ${CHAT}`, [
      "content-type: application/json",
      `content-length: ${body.length}`,
      "expect: 100-continue",
    ]);
    using wire = await openWire(gateway.url, asking);
    expect((await wire.answers(1, 300)).map(({ status }) => status)).toEqual([100]);
    await wire.write(body);
    expect((await wire.answers(1)).map(({ status }) => status)).toEqual([100, 200]);
  });

  test("row 59: a body without a length is cut off at the limit, and no worker hears of it", async () => {
    const chunk = Buffer.concat([Buffer.from("10000\r\n"), piece, Buffer.from("\r\n")]);
    const chunked = head(`POST ${CHAT}`, ["content-type: application/json", "transfer-encoding: chunked"]);
    await unseenBy(engine, async () => {
      // Not a byte more than 64 KiB over the limit is sent, and no end: the answer comes from what is there.
      const { answer, isClosed } = await upload(chunked, chunk, (LIMIT / 65_536 + 1) * chunk.length);
      expect([answer.slice(0, 12), isClosed]).toEqual(["HTTP/1.1 413", true]);
      expect(answer).toContain("request_too_large");
      // The kernel's buffers on both sides take some more from a client that never stops.
      const endless = await upload(chunked, chunk, huge);
      expect([endless.sent < LIMIT + 16_000_000, endless.isClosed]).toEqual([true, true]);
      observe(
        59,
        `413 at 64 KiB over; one that never stops had sent ${(endless.sent / 1e6).toFixed(1)} MB when closed`,
      );
    });
  });
});

/** The default of `max_payload_size`. */
const DEFAULT_LIMIT = 64 * 1024 * 1024;

test("row 60: streams go on while a body just within the limit is read", async () => {
  await using roomy = await startFaultGateway();
  await using paced = await startEngine({
    model: "m60",
    instant: false,
    timing: { decodeMs: 30, decodeMsPerRunning: 0 },
  });
  await using sink = startSink();
  await using _paced = await roomy.serve("m60", [paced.url]);
  await using _sink = await roomy.serve("big60", [sink.url]);
  const body = manyMessages("big60", DEFAULT_LIMIT - 1);

  let maxGap = 0;
  const stop = new AbortController();
  const streams = Array.from({ length: 100 }, async (_, index) => {
    const request = chat("m60", { stream: true, max_tokens: 2000, ignore_eos: true, user: `u${index}` });
    const response = await fetch(roomy.url + CHAT, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
      signal: stop.signal,
    });
    let last = performance.now();
    for await (const _piece of response.body ?? []) {
      const now = performance.now();
      maxGap = Math.max(maxGap, now - last);
      last = now;
    }
  });
  const ended = Promise.allSettled(streams);
  const gapDuring = async (work: Promise<unknown>): Promise<number> => {
    maxGap = 0;
    await work;
    // The gap that is open now is known when it ends.
    await Bun.sleep(200);
    return maxGap;
  };
  await Bun.sleep(500);
  const baseline = await gapDuring(Bun.sleep(800));
  const gaps: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const response = post(roomy.url + CHAT, body);
    gaps.push(await gapDuring(response));
    expect((await response).status).toBe(200);
  }
  stop.abort();
  await ended;
  expect(sink.bytes).toBe(3 * body.length);
  expect(quantile(gaps, 0.5) - baseline).toBeLessThanOrEqual(100);
  observe(
    60,
    `longest gap of 100 streams ${baseline.toFixed(0)} ms, with a body of ${(body.length / 1e6).toFixed(0)} MB ${quantile(gaps, 0.5).toFixed(0)} ms`,
  );
});

/** A request of exactly so many bytes, of as many messages as fit. */
function manyMessages(model: string, bytes: number): Buffer {
  const opening = `{"model":"${model}","messages":[`;
  const message = '{"role":"user","content":"hi"}';
  const body = Buffer.alloc(bytes, " ");
  const count = Math.floor((bytes - opening.length - 2) / (message.length + 1));
  body.write(opening);
  body.fill(`${message},`, opening.length, opening.length + count * (message.length + 1) - 1);
  body.write("]}", opening.length + count * (message.length + 1) - 1);
  return body;
}

/** A worker that counts the bytes of bodies and looks at none of them. */
function startSink(): AsyncDisposable & { readonly url: string; readonly bytes: number } {
  let bytes = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/health": new Response("OK"),
      "/v1/models": Response.json({ object: "list", data: [{ id: "sink", object: "model" }] }),
    },
    maxRequestBodySize: DEFAULT_LIMIT * 2,
    async fetch(request) {
      for await (const piece of request.body ?? []) bytes += piece.length;
      return Response.json({ object: "chat.completion", choices: [] });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    get bytes() {
      return bytes;
    },
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

describe("content types and encodings", () => {
  const refused: readonly [name: string, type: readonly string[]][] = [
    ["none", []],
    ["text/plain", ["content-type: text/plain"]],
    ["a form", ["content-type: application/x-www-form-urlencoded"]],
    ["a multipart form", ["content-type: multipart/form-data; boundary=x"]],
    ["one that begins alike", ["content-type: application/jsonp"]],
    ["two of them", ["content-type: text/plain", "content-type: application/json"]],
  ];
  const body = JSON.stringify(chat("m"));
  for (const [name, type] of refused) {
    test(`row 74: content type ${name}: 415`, async () => {
      const bytes = `${head(`POST ${CHAT}`, [...type, `content-length: ${body.length}`])}${body}`;
      const [answer] = await unseenBy(engine, () => exchange(gateway.url, bytes));
      const error = openaiError(answer?.body ?? "");
      expect([answer?.status, error.type, error.code]).toEqual([
        415,
        "invalid_request_error",
        "unsupported_media_type",
      ]);
      observe(74, "415 `unsupported_media_type`");
    });
  }
  for (const type of ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"]) {
    test(`row 74: content type ${type} is taken`, async () => {
      expect((await post(gateway.url + CHAT, body, { "content-type": type })).status).toBe(200);
    });
  }

  const BOMB_BYTES = 200_000_000;
  const bombs: Readonly<Record<string, () => Uint8Array>> = {
    gzip: () => gzipSync(Buffer.alloc(BOMB_BYTES, " ")),
    "x-gzip": () => gzipSync(Buffer.alloc(BOMB_BYTES, " ")),
    deflate: () => deflateSync(Buffer.alloc(BOMB_BYTES, " ")),
    br: () => brotliCompressSync(Buffer.alloc(BOMB_BYTES, " "), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
    zstd: () => zstdCompressSync(Buffer.alloc(BOMB_BYTES, " ")),
  };

  test("row 75: bodies in an encoding are decoded, and bombs no further than a body may be", async () => {
    const whole = Buffer.from(JSON.stringify(chat("m")));
    const encoders = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync };
    for (const [encoding, encode] of Object.entries(encoders)) {
      const response = await post(gateway.url + CHAT, encode(whole), { "content-encoding": encoding });
      expect([encoding, response.status]).toEqual([encoding, 200]);
      expect(engine.requests.at(-1)?.body).toBe(String(whole));
    }
    const made = Object.entries(bombs).map(([encoding, make]) => [encoding, make()] as const);
    const rise = await rssRise(gateway, async () => {
      for (const [encoding, bomb] of made) {
        const response = await unseenBy(engine, () => post(gateway.url + CHAT, bomb, { "content-encoding": encoding }));
        expect([encoding, response.status]).toEqual([encoding, 413]);
        await response.text();
      }
    });
    // Of each of the five at most 20 MB are held, and the collector comes when it comes; without a bound one would be 200 MB alone.
    expect(rise).toBeLessThanOrEqual((6 * LIMIT) / 1e6);
    observe(
      75,
      `bombs of ${BOMB_BYTES / 1e6} MB in ${made.length} encodings: 413, resident memory ${rise.toFixed(1)} MB more`,
    );
  });

  test("row 75: encodings that are not known, or more than one, are refused unread", async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000, " "));
    const rise = await rssRise(gateway, async () => {
      for (const encoding of ["compress", "utf-8, gzip", "gzip, gzip", "identity, gzip"]) {
        const response = await unseenBy(engine, () => post(gateway.url + CHAT, bomb, { "content-encoding": encoding }));
        expect([encoding, response.status, response.headers.get("accept-encoding")]).toEqual([
          encoding,
          415,
          "gzip, deflate, br, zstd, identity",
        ]);
        await response.text();
      }
    });
    expect(rise).toBeLessThanOrEqual(16);
    observe(75, `415 for 4 others, resident memory ${rise.toFixed(1)} MB more`);
    // And one that does not say what it is, is not JSON.
    expect((await post(gateway.url + CHAT, bomb)).status).toBe(400);
    expect((await post(gateway.url + CHAT, chat("m"), { "content-encoding": "gzip" })).status).toBe(400);
  });
});

describe("fields that ask for more than anybody should have", () => {
  const cases: readonly [name: string, route: string, extra: Record<string, unknown>, param: string][] = [
    ["a billion answers", CHAT, { n: 1e9 }, "n"],
    ["a billion answers, in Anthropic's shape", "/v1/messages", { n: 1e9 }, "n"],
    ["fewer than no tokens, in Anthropic's shape", "/v1/messages", { max_tokens: -1 }, "max_tokens"],
    ["fewer than no tokens, in Responses", "/v1/responses", { max_output_tokens: -1 }, "max_output_tokens"],
    ["no answers", CHAT, { n: 0 }, "n"],
    ["fewer than no tokens", CHAT, { max_tokens: -1 }, "max_tokens"],
    ["fewer than no tokens, newer name", CHAT, { max_completion_tokens: -1 }, "max_completion_tokens"],
    ["a billion answers in text", CHAT, { n: "1000000000" }, "n"],
    ["a billion answers in a list", CHAT, { n: [1e9] }, "n"],
    ["a billion answers, written long", CHAT, { n: `1000000000.${"0".repeat(70_000)}` }, "n"],
    ["a billion answers of SGLang's", "/generate", { text: "x", sampling_params: { n: 1e9 } }, "sampling_params.n"],
    [
      "a billion answers to one of its prompts",
      "/generate",
      { text: ["x", "y"], sampling_params: [{ n: 1 }, { n: 1e9 }] },
      "sampling_params[1].n",
    ],
    ["a billion tokens at least", CHAT, { min_tokens: 1e9 }, "min_tokens"],
    ["a billion alternatives for each token of the prompt", CHAT, { prompt_logprobs: 1e9 }, "prompt_logprobs"],
    ["a billion alternatives of SGLang's", "/generate", { text: "x", top_logprobs_num: [1, 1e9] }, "top_logprobs_num"],
    [
      "a million words to stop at, in Anthropic's shape",
      "/v1/messages",
      { stop_sequences: Array.from({ length: 1e6 }, (_, index) => `s${index}`) },
      "stop_sequences",
    ],
    ["a billion alternatives a token", CHAT, { logprobs: true, top_logprobs: 1e9 }, "top_logprobs"],
    ["a billion alternatives a token of a completion", "/v1/completions", { prompt: "x", logprobs: 1e9 }, "logprobs"],
    ["a million stop strings", CHAT, { stop: Array.from({ length: 1e6 }, (_, index) => `s${index}`) }, "stop"],
    [
      "100,000 tools",
      CHAT,
      { tools: Array.from({ length: 1e5 }, (_, index) => ({ type: "function", function: { name: `t${index}` } })) },
      "tools",
    ],
  ];
  for (const [name, route, extra, param] of cases) {
    test(`row 86: ${name}: 400 that names the field, and no worker hears of it`, async () => {
      const response = await unseenBy(engine, () => post(gateway.url + route, chat("m", extra)));
      const { type, error } = (await response.json()) as { type?: string; error: Record<string, unknown> };
      expect([response.status, type]).toEqual([400, route === "/v1/messages" ? "error" : undefined]);
      expect(error).toMatchObject({ type: "invalid_request_error", param, code: "invalid_request" });
      observe(86, `${param}: 400`);
    });
  }
});

test("row 87: patterns from clients are text, whatever they look like", async () => {
  const evil = "(a+)+$";
  const text = `${"a".repeat(50_000)}!`;
  const request = chat("m", {
    guided_regex: evil,
    stop: [evil],
    user: text,
    tools: [{ type: "function", function: { name: "f", parameters: { type: "string", pattern: evil } } }],
    messages: [{ role: "user", content: text }],
  });
  const times: number[] = [];
  for (const body of [request, request, request, chat(text), chat("*a".repeat(5000))]) {
    const from = performance.now();
    const { status } = await post(gateway.url + CHAT, body, { "x-routing-key": text.slice(0, 8000) });
    times.push(performance.now() - from);
    expect([200, 404]).toContain(status);
  }
  // The first is what a new connection costs as well.
  expect(quantile(times, 0.5)).toBeLessThan(10);
  observe(87, `texts of 50 kB against \`${evil}\`: ${quantile(times, 0.5).toFixed(1)} ms`);
});

test("row 87: patterns of the operator's take no time either, whatever name they are held against", async () => {
  const config = join(ELSEWHERE, "row-87.yaml");
  const stars = "*a".repeat(100);
  writeFileSync(config, `model_policies:\n  patterns:\n    - match: "${stars}b"\n      policy: random\n`);
  await using patterned = await startFaultGateway(["--config", config, "--continue-streams", `${stars}b`]);
  const name = "a".repeat(255);
  await using worker = await startEngine({ model: name });
  const times: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const from = performance.now();
    const { ids } = await patterned.serve(name, [worker.url]);
    times.push(performance.now() - from);
    const asked = performance.now();
    const response = await post(patterned.url + CHAT, chat(name, { stream: true, max_tokens: 1 }));
    await response.text();
    expect(response.status).toBe(200);
    times.push(performance.now() - asked);
    await fetch(`${patterned.url}/workers/${ids[0]}?wait=true`, { method: "DELETE" });
  }
  // A worker is asked what it serves before it is there: the pattern is the least of it.
  expect(Math.min(...times)).toBeLessThan(10);
  expect(quantile(times, 0.5)).toBeLessThan(50);
  observe(87, `a glob of 200 characters against a name of 255: request and all ${Math.min(...times).toFixed(1)} ms`);
});

describe("text of an answer that looks like the end of a stream", () => {
  const tricks = [
    "a\n\ndata: [DONE]\n\nb",
    "data: [DONE]",
    "\r\ndata:[DONE]\r\n\r\n",
    "event: message_stop",
    "event: response.completed",
    '"}\n\nevent: error\ndata: {"error":{}}\n\n',
    '"finish_reason":"stop"',
  ];
  const typed = (type: string, fields: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
  /** How each API says a piece of text, and the end. */
  const apis: readonly [route: string, say: (text: string) => string, end: string][] = [
    [
      CHAT,
      (content) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`,
      'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    ],
    [
      "/v1/messages",
      (text) => typed("content_block_delta", { index: 0, delta: { type: "text_delta", text } }),
      typed("message_stop", {}),
    ],
    [
      "/v1/responses",
      (delta) => typed("response.output_text.delta", { delta }),
      typed("response.completed", { response: { status: "completed" } }),
    ],
  ];
  for (const [route, say, end] of apis) {
    for (const size of [1, 7, 100_000]) {
      test(`row 88: it arrives as text on ${route}, in pieces of ${size} bytes`, async () => {
        const whole = tricks.map(say).join("") + end;
        await using worker = await startRawEngine(({ write }) => {
          write(STREAM_HEAD);
          for (let at = 0; at < whole.length; at += size) write(chunk(whole.slice(at, at + size)));
          write("0\r\n\r\n");
        });
        await using _served = await gateway.serve("m88", [worker.url]);
        const response = await post(gateway.url + route, chat("m88", { stream: true, input: "x" }));
        // Open Responses wants the marker behind the last event as well.
        expect(await response.text()).toBe(route === "/v1/responses" ? `${whole}data: [DONE]\n\n` : whole);
        observe(88, `${tricks.length} of ${tricks.length} byte for byte on ${route}`);
      });
    }
  }

  test("row 88: and so does text of a request", async () => {
    const request = chat("m", { messages: [{ role: "user", content: tricks.join("") }], stream: true });
    const response = await post(gateway.url + CHAT, request);
    expect((await response.text()).endsWith("data: [DONE]\n\n")).toBe(true);
    expect(JSON.parse(engine.requests.at(-1)?.body ?? "")).toEqual(request);
  });
});
