import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startEngine } from "../support/engine.ts";
import { startTinyEngine } from "./grpc-workers.ts";
import { eventually, expectSameProcessServes, observe, openaiError, rssRise } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";
import { jsonPost, openWire } from "./wire.ts";

const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway([["--request-timeout-secs", "60"]].flat());
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

async function send(path: string, body: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(gateway.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  return { status: response.status, text: await response.text() };
}

function many(count: number, entry: unknown): unknown[] {
  return Array.from({ length: count }, () => entry);
}

/** Bodies that were minutes of work, gigabytes, or seconds in which the gateway did nothing else. */
function bodies(model: string): readonly (readonly [name: string, path: string, body: string, says: string])[] {
  const message = { role: "user", content: "hello there" };
  const tool = { type: "function", function: { name: "f", description: "x".repeat(7000), parameters: {} } };
  const text = "hello there ".repeat(5_000_000);
  return [
    ["1,200,000 messages", CHAT, JSON.stringify({ model, messages: many(1_200_000, message) }), "too many entries"],
    ["a message of 60 MB", CHAT, JSON.stringify({ model, messages: [{ role: "user", content: text }] }), ""],
    ["4,000 tools", CHAT, JSON.stringify({ model, messages: [message], tools: many(4000, tool) }), "tools takes more"],
    ["a prompt of 60 MB", COMPLETIONS, JSON.stringify({ model, prompt: text }), "tokens long"],
    ["8,000,000 ids", COMPLETIONS, JSON.stringify({ model, prompt: many(8_000_000, 7) }), "tokens long"],
  ];
}

describe("bodies for gRPC workers", () => {
  test("row 60, 157: that no model takes are refused in seconds, and streams go on meanwhile", async () => {
    await using engine = await startTinyEngine();
    await using paced = await startEngine({
      model: "m266",
      instant: false,
      timing: { decodeMs: 20, decodeMsPerRunning: 0 },
    });
    await using _engine = await gateway.serve("tiny-266", [engine.url]);
    await using _paced = await gateway.serve("m266", [paced.url]);
    expect((await send(CHAT, JSON.stringify(chat("tiny-266")))).status).toBe(200);
    const all = bodies("tiny-266");
    // The times at which the engine has written and the client has read are compared by another process.
    const watch = Bun.spawn([process.execPath, `${import.meta.dir}/longest-gap.ts`, gateway.url, "m266"], {
      stdout: "pipe",
    });
    const lines = readLines(watch.stdout);
    await lines.next();
    const gapOf = async (): Promise<number> => {
      watch.kill("SIGUSR2");
      return Number((await lines.next()).value);
    };
    await Bun.sleep(1000);
    const idle = await gapOf();
    let longest = 0;
    const rise = await rssRise(gateway, async () => {
      for (const [name, path, body, says] of all) {
        const gaps: number[] = [];
        for (let round = 0; round < 3; round += 1) {
          const from = performance.now();
          const { status, text } = await send(path, body);
          expect([name, status]).toEqual([name, 400]);
          expect(openaiError(text).message).toContain(says);
          expect(performance.now() - from).toBeLessThan(10_000);
          await Bun.sleep(100);
          gaps.push(await gapOf());
        }
        // Work of the gateway's own is in each round, what else the machine does is not.
        longest = Math.max(longest, Math.min(...gaps));
      }
    });
    watch.kill();
    expect(rise).toBeLessThan(1500);
    expect(longest - idle).toBeLessThanOrEqual(100);
    observe(
      157,
      `longest gap of a stream ${idle.toFixed(0)} ms, with such bodies ${longest.toFixed(0)} ms; ${rise.toFixed(0)} MB more memory`,
    );
  }, 90_000);

  test("row 158: whose client leaves are not worked on any more", async () => {
    await using engine = await startTinyEngine();
    await using _engine = await gateway.serve("tiny-267", [engine.url]);
    expect((await send(CHAT, JSON.stringify(chat("tiny-267")))).status).toBe(200);
    const body = { model: "tiny-267", prompt: many(1500, "hello there ".repeat(3000)) };
    const id = "row-267";
    const wire = await openWire(gateway.url, jsonPost(COMPLETIONS, body, [`x-request-id: ${id}`]));
    await eventually(async () => (await gateway.metric("pointsman_admitted_requests")) === 1, "it has come");
    wire.hangUp();
    const from = performance.now();
    expect(await gateway.accessLine(id)).toMatchObject({ status: 499 });
    const ms = performance.now() - from;
    expect(ms).toBeLessThan(1000);
    expect(engine.records.filter(({ method }) => method === "Generate").length).toBe(1);
    observe(158, `over ${ms.toFixed(0)} ms after the client had left`);
  });
});

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let text = "";
  for await (const bytes of stream) {
    text += Buffer.from(bytes).toString();
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}
