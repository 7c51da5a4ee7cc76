import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { EngineFault } from "../engines/grpc/engine-core.ts";
import type { SimulatedGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { GenerateResponse } from "../../src/transport/grpc/generated/engine/vllm.ts";
import { openRaw, rawPost } from "../support/client.ts";
import { post } from "../support/gateway.ts";
import { streamText } from "../support/stream-text.ts";
import { type Api, APIS, CHAT, expectError, piecesIn } from "./apis.ts";
import { ask, lineOf, readEvents, type Reply, repeat, workerView } from "./ask.ts";
import { startEngineProcess, startOddWorker, startTinyEngine } from "./grpc-workers.ts";
import { eventually, expectSameProcessServes, observe, quantile } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";

const IDLE_MS = 1000;
const TOTAL_MS = 3000;

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(
    [
      ["--request-timeout-secs", String(TOTAL_MS / 1000)],
      ["--max-payload-size", "16777216"],
      ["--health-check-interval-secs", "0.2"],
      ["--health-check-timeout-secs", "0.2"],
      ["--health-failure-threshold", "2"],
      ["--health-success-threshold", "1"],
      ["--disable-circuit-breaker"],
    ].flat(),
  );
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

/** How many models there were. */
let models = 0;
function newModel(): string {
  models += 1;
  return `tiny-${models}`;
}

function generations({ records }: SimulatedGrpcEngine): number {
  return records.filter(({ method }) => method === "Generate").length;
}

function textIn(api: Api, reply: Reply): string {
  return piecesIn(api, reply.text).join("");
}

describe("a gRPC worker that is not there", () => {
  test("row 49: another worker answers, in two attempts", async () => {
    await using one = await startTinyEngine();
    await using two = await startTinyEngine();
    const model = newModel();
    await using _served = await gateway.serve(model, [one.url, two.url]);
    one.die();
    const replies = [await ask(gateway, CHAT, model), await ask(gateway, CHAT, model)];
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    const lines = await Promise.all(replies.map((reply) => lineOf(gateway, reply)));
    expect(lines.map(({ attempts }) => Number(attempts)).toSorted((a, b) => a - b)).toEqual([1, 2]);
    expect(generations(two)).toBe(2);
    observe(49, "another worker answered in 2 attempts");
  });

  test("row 49: alone it is 502 in each API, and it counts as down", async () => {
    await using engine = await startTinyEngine();
    const model = newModel();
    await using served = await gateway.serve(model, [engine.url]);
    // Its tokenizer is here before it goes.
    expect((await ask(gateway, CHAT, model)).status).toBe(200);
    engine.die();
    const times: number[] = [];
    for (const api of APIS) {
      const reply = await ask(gateway, api, model);
      // Once it is known to be down there is nobody to ask.
      if (reply.status === 502) expectError(api, reply, 502, { code: "upstream_connect_failed" });
      else expectError(api, reply, 503, { code: "no_available_workers", anthropic: "overloaded_error" });
      times.push(reply.ms);
    }
    expect(Math.max(...times)).toBeLessThan(500);
    await eventually(
      async () => (await workerView(gateway, served.ids[0]))["status"] === "not_ready",
      "it counts as down",
    );
    observe(49, `502 or, once it is known, 503 within ${Math.ceil(Math.max(...times))} ms; down after two probes`);
  });
});

describe("a gRPC worker that is lost within a stream", () => {
  for (const api of APIS) {
    test(`row 50: kill -9: what came is delivered once, then the error: ${api.name}`, async () => {
      await using engine = await startEngineProcess();
      await using other = await startTinyEngine();
      const model = newModel();
      await using _served = await gateway.serve(model, [engine.url]);
      const whole = textIn(api, await ask(gateway, api, model, { stream: true, ...LONG }));
      await using _other = await gateway.serve(model, [other.url]);
      let reply: Reply | undefined;
      // One of two goes to the process that dies.
      for (let tries = 0; tries < 2; tries += 1) {
        reply = await ask(gateway, api, model, { stream: true, ...LONG }, (text) => {
          if (piecesIn(api, text).join("").length > 8) engine.signal("SIGKILL");
        });
        if (textIn(api, reply) !== whole) break;
      }
      if (!reply) throw new Error("nothing was asked");
      const text = textIn(api, reply);
      expect([reply.status, text.length > 8, whole.startsWith(text)]).toEqual([200, true, true]);
      api.errorEvent(readEvents(reply.text), { code: "upstream_reset" });
      expect(await lineOf(gateway, reply)).toMatchObject({ attempts: 1, error: "upstream_reset", status: 200 });
      observe(50, "what came once, then `upstream_reset` in each API, 1 attempt, no token twice");
    });
  }

  test("row 51: kill -STOP: the stream ends within the idle timeout, the worker is out, and after kill -CONT back", async () => {
    await using engine = await startEngineProcess();
    const model = newModel();
    await using served = await gateway.serve(model, [engine.url]);
    let stoppedAt = 0;
    const reply = await ask(gateway, CHAT, model, { stream: true, ...LONG }, (text) => {
      if (stoppedAt > 0 || piecesIn(CHAT, text).join("").length <= 8) return;
      engine.signal("SIGSTOP");
      stoppedAt = performance.now();
    });
    const ms = performance.now() - stoppedAt;
    CHAT.errorEvent(readEvents(reply.text), { code: "upstream_stalled" });
    expect(ms).toBeWithin(IDLE_MS - 100, IDLE_MS + 250);
    const status = async (): Promise<unknown> => (await workerView(gateway, served.ids[0]))["status"];
    await eventually(async () => (await status()) === "not_ready", "it counts as down");
    engine.signal("SIGCONT");
    await eventually(async () => (await status()) === "ready", "it is back");
    expect((await ask(gateway, CHAT, model, { max_tokens: 4 })).status).toBe(200);
    observe(51, `\`upstream_stalled\` ${Math.round(ms)} ms after it was stopped; out, and back after kill -CONT`);
  });
});

/** Long enough that something can happen meanwhile. */
const LONG = { max_tokens: 60, ignore_eos: true };

test("row 52: a message over the limit is 502 and not 429, and nobody else is asked", async () => {
  await using worker = await startOddWorker(async function* tooLarge() {
    yield new Uint8Array(17_000_000);
  });
  const model = newModel();
  await using _served = await gateway.serve(model, [worker.url]);
  for (const api of APIS) {
    expectError(api, await ask(gateway, api, model), 502, { code: "invalid_upstream_response" });
  }
  expect(worker.generations).toBe(APIS.length);
  observe(52, "502 `invalid_upstream_response` in each API, 1 generation each");
});

test("row 52: a message that is none is 502", async () => {
  await using worker = await startOddWorker(async function* nonsense() {
    // A field that is longer than the message.
    yield Uint8Array.of(0x0a, 0xff);
  });
  const model = newModel();
  await using _served = await gateway.serve(model, [worker.url]);
  expectError(CHAT, await ask(gateway, CHAT, model), 502, { code: "upstream_protocol_error" });
  observe(52, "what is no message: 502 `upstream_protocol_error`");
});

test("row 52: an answer that nobody asked for, and one without an end, are 502", async () => {
  const step = (index: number): Uint8Array =>
    GenerateResponse.encode(
      GenerateResponse.fromPartial({ response: { $case: "chunk", value: { index, tokenIds: [65] } } }),
    ).finish();
  await using stranger = await startOddWorker(async function* another() {
    yield step(3);
  });
  await using endless = await startOddWorker(async function* cut() {
    yield step(0);
  });
  const [first, second] = [newModel(), newModel()];
  await using _first = await gateway.serve(first, [stranger.url]);
  await using _second = await gateway.serve(second, [endless.url]);
  expectError(CHAT, await ask(gateway, CHAT, first), 502, { code: "invalid_upstream_response" });
  expectError(CHAT, await ask(gateway, CHAT, second), 502, { code: "upstream_truncated" });
  observe(52, "an answer with a strange index, or without an end: 502");
});

describe("gRPC statuses", () => {
  interface Meaning {
    readonly status: number;
    readonly code: string;
    readonly type?: string;
    readonly anthropic?: string;
    readonly generations: number;
  }
  const client = { type: "invalid_request_error", anthropic: "invalid_request_error" };
  const MEANINGS: Readonly<Record<number, Meaning>> = {
    1: { status: 502, code: "upstream_closed", generations: 2 },
    3: { status: 400, code: "upstream_rejected", ...client, generations: 1 },
    4: { status: 504, code: "upstream_timeout", anthropic: "timeout_error", generations: 2 },
    5: { status: 404, code: "model_not_found", ...client, anthropic: "not_found_error", generations: 2 },
    7: { status: 502, code: "upstream_auth_failed", generations: 2 },
    8: { status: 503, code: "upstream_busy", anthropic: "overloaded_error", generations: 2 },
    12: { status: 501, code: "upstream_unimplemented", generations: 2 },
    13: { status: 500, code: "upstream_error", generations: 1 },
    14: { status: 503, code: "upstream_busy", anthropic: "overloaded_error", generations: 2 },
    16: { status: 502, code: "upstream_auth_failed", generations: 2 },
  };
  for (const [grpc, { status, generations: expected, ...error }] of Object.entries(MEANINGS)) {
    test(`row 53: ${grpc} before the first token is ${status} ${error.code} in each API`, async () => {
      const fault = (): EngineFault => ({ afterTokens: 0, what: { status: Number(grpc), message: "not like this" } });
      for (const api of APIS) {
        await using one = await startTinyEngine({ fault });
        await using two = await startTinyEngine({ fault });
        const model = newModel();
        await using _served = await gateway.serve(model, [one.url, two.url]);
        expectError(api, await ask(gateway, api, model, { stream: api !== CHAT }), status, error);
        expect([grpc, generations(one) + generations(two)]).toEqual([grpc, expected]);
      }
      observe(53, `${grpc}: ${status} \`${error.code}\`, ${expected} generation${expected > 1 ? "s" : ""}`);
    });
  }

  test("row 53: a status within a stream is told there, and nobody else is asked", async () => {
    for (const api of APIS) {
      await using engine = await startTinyEngine({ fault: () => ({ afterTokens: 9, what: { status: 13 } }) });
      const model = newModel();
      await using _served = await gateway.serve(model, [engine.url]);
      const reply = await ask(gateway, api, model, { stream: true, ...LONG });
      expect(textIn(api, reply).length).toBeGreaterThan(4);
      api.errorEvent(readEvents(reply.text), { code: "upstream_stream_error" });
      expect(generations(engine)).toBe(1);
    }
    observe(53, "13 within a stream: an error event, 1 generation");
  });
});

test("row 54: the worker is told what is left of the time, and cancelled when it is over", async () => {
  await using engine = await startTinyEngine({ msPerToken: 50 });
  const model = newModel();
  await using _served = await gateway.serve(model, [engine.url]);
  const reply = await ask(gateway, CHAT, model, { stream: true, max_tokens: 500, ignore_eos: true });
  const over = performance.now();
  CHAT.errorEvent(readEvents(reply.text), { code: "upstream_timeout" });
  const record = engine.records.find(({ method }) => method === "Generate");
  await eventually(() => record?.outcome !== "running", "the engine gives up");
  const late = performance.now() - over;
  expect(reply.ms).toBeWithin(TOTAL_MS - 100, TOTAL_MS + 250);
  expect(millisOf(record?.timeout)).toBeWithin(TOTAL_MS - 500, TOTAL_MS + 1);
  expect(late).toBeLessThan(50);
  observe(
    54,
    `\`upstream_timeout\` after ${(reply.ms / 1000).toFixed(2)} of ${TOTAL_MS / 1000} s, the engine free within 50 ms`,
  );
});

/** Of `grpc-timeout`: a number and its unit. */
function millisOf(timeout = ""): number {
  const unit = { S: 1000, m: 1, u: 1e-3, n: 1e-6 }[timeout.at(-1) ?? ""] ?? Number.NaN;
  return Number(timeout.slice(0, -1)) * unit;
}

test("row 55: of two workers under load one sends GOAWAY: no client sees an error, and what it had it ends", async () => {
  await using one = await startTinyEngine({ msPerToken: 2 });
  await using two = await startTinyEngine({ msPerToken: 2 });
  const model = newModel();
  await using _served = await gateway.serve(model, [one.url, two.url]);
  const replies = await repeat(300, 30, async (index) => {
    if (index === 100) one.drain();
    return ask(gateway, CHAT, model, { stream: true, max_tokens: 30, seed: index });
  });
  const ended = replies.filter(({ status, text }) => status === 200 && text.endsWith("data: [DONE]\n\n"));
  expect(ended.length).toBe(300);
  expect(one.records.filter(({ outcome }) => outcome !== "finished")).toEqual([]);
  const taken = generations(one);
  expect(taken).toBeWithin(30, 120);
  expect(generations(two)).toBe(300 - taken);
  observe(55, `300 of 300 streams whole; ${taken} at the worker that left, all ended there`);
});

describe("a client that leaves", () => {
  const PHASES: Readonly<Record<string, { readonly stream: boolean; readonly text: string | undefined }>> = {
    "before the first token": { stream: true, text: undefined },
    "within a stream": { stream: true, text: '"content":"' },
    "before a whole answer": { stream: false, text: undefined },
  };
  for (const kind of ["vllm", "sglang"] as const) {
    for (const [phase, { stream, text }] of Object.entries(PHASES)) {
      test(`row 56: ${phase}: the call is cancelled and the engine is told: ${kind}`, async () => {
        const times: number[] = [];
        await using engine = await startTinyEngine({ kind, msPerToken: 30 });
        const model = newModel();
        await using _served = await gateway.serve(model, [engine.url]);
        for (let round = 1; round <= 5; round += 1) {
          const client = await openRaw(
            gateway.url,
            rawPost("/v1/chat/completions", chat(model, { stream, ignore_eos: true, max_tokens: 500 })),
          );
          if (text === undefined) await eventually(() => engine.running === 1, "it runs");
          else await client.until(text);
          const left = performance.now();
          client.hangUp();
          await eventually(() => engine.running === 0, "the engine gives up");
          times.push(performance.now() - left);
          await eventually(
            () => engine.records.filter(({ method }) => method === "Abort").length === round,
            "it is told",
          );
        }
        expect(quantile(times, 0.99)).toBeLessThan(100);
        const of = (name: string): readonly string[] =>
          engine.records.filter(({ method }) => method === name).map(({ requestId }) => requestId);
        expect(of("Abort")).toEqual([...of("Generate")]);
        observe(56, `cancelled and told by Abort within 100 ms, ${phase}`);
      });
    }
  }
});

test("row 57: characters that come in halves are told whole, in each API and wherever they are cut", async () => {
  const said = "größer 東京 🚂👨‍👩‍👧 é \u{10FFFF}";
  for (const kind of ["vllm", "sglang"] as const) {
    await using engine = await startTinyEngine({ kind, answer: () => said });
    const model = newModel();
    await using _served = await gateway.serve(model, [engine.url]);
    for (const api of APIS) {
      const more = { max_tokens: 100, ...(api.name === "/v1/responses" ? { max_output_tokens: 100 } : {}) };
      const whole = await ask(gateway, api, model, more);
      expect(whole.text).toContain(said);
      const reply = await ask(gateway, api, model, { stream: true, ...more });
      expect(streamText(reply.text)).toBe(said);
      expect(reply.text).not.toContain("\uFFFD");
    }
    // Cut within a character: it is told that something is missing, once.
    const cut = await post(`${gateway.url}/v1/completions`, { model, prompt: "x", max_tokens: 4 });
    const { choices } = (await cut.json()) as { choices: { text: string }[] };
    expect(choices[0]?.text).toBe("grö");
  }
  observe(57, "no U+FFFD in whole answers and streams, text as it was said");
});
