import { describe, expect, test } from "bun:test";
import { eventually } from "../faults/observe.ts";
import { head, openWire, type Wire } from "../faults/wire.ts";
import { startEngine, startHeldEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

const CHAT = "/v1/chat/completions";
const MB = 1_048_576;

/** Clients that announce bodies and send no more than their beginning. */
function openSlow(url: string, count: number, length: number): Promise<Wire[]> {
  const start = head(`POST ${CHAT}`, ["content-type: application/json", `content-length: ${length}`]);
  return Promise.all(Array.from({ length: count }, () => openWire(url, `${start}{"model":"`)));
}

test("bodies that come slowly hold no place of those that are there", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url], config: { maxConcurrentRequests: 2 } });
  const slow = await openSlow(gateway.url, 10, 5000);
  const responses = await Promise.all(Array.from({ length: 6 }, () => post(gateway.url + CHAT, HELLO)));
  expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  for (const wire of slow) wire.hangUp();
});

test("what was announced and has not come takes no room from others", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url], config: { maxRequestBytesInFlight: 2 * MB } });
  const slow = await openSlow(gateway.url, 40, 60 * MB);
  const body = { ...HELLO, messages: [{ role: "user", content: "x".repeat(MB) }] };
  expect((await post(gateway.url + CHAT, body)).status).toBe(200);
  for (const wire of slow) wire.hangUp();
});

describe("where the line is full", () => {
  for (const name of ["its length", "Expect"]) {
    test(`a body is refused before it is sent, by ${name} alone`, async () => {
      const held = await startHeldEngine("sim-1", ({ headers }) => headers["x-request-id"] ?? "");
      await using _held = held.engine;
      await using gateway = await startGateway({
        workers: [held.engine.url],
        config: { maxConcurrentRequests: 1, queueSize: 1 },
      });
      const both = [post(gateway.url + CHAT, HELLO), post(gateway.url + CHAT, HELLO)];
      await eventually(async () => held.order.length === 1, "one has the place");
      await Bun.sleep(20);
      const start = head(`POST ${CHAT}`, [
        "content-type: application/json",
        "content-length: 5000000",
        ...(name === "Expect" ? ["expect: 100-continue"] : []),
      ]);
      using wire = await openWire(gateway.url, start);
      const [answer] = await wire.answers(1);
      expect([answer?.status, answer?.body]).toEqual([503, expect.stringContaining("queue_full")]);
      held.release();
      await eventually(async () => held.order.length === 2, "the other has it");
      held.release();
      expect((await Promise.all(both)).map(({ status }) => status)).toEqual([200, 200]);
    });
  }
});

describe("a body that never stops coming", () => {
  async function trickle(bytes: number, everyMs: number): Promise<{ wire: Wire; ms: number; sent: number }> {
    await using engine = await startEngine();
    await using gateway = await startGateway({ workers: [engine.url], config: { bodyStallTimeoutSecs: 0.3 } });
    const body = JSON.stringify({ ...HELLO, messages: [{ role: "user", content: "x".repeat(100_000) }] });
    const start = head(`POST ${CHAT}`, ["content-type: application/json", `content-length: ${body.length}`]);
    const wire = await openWire(gateway.url, start);
    const from = performance.now();
    let sent = 0;
    for (; sent < body.length && !wire.isClosed && performance.now() - from < 8000; sent += bytes) {
      await wire.write(body.slice(sent, sent + bytes));
      if (sent + bytes < body.length) await Bun.sleep(everyMs);
    }
    await wire.answers(1);
    return { wire, ms: performance.now() - from, sent };
  }

  test("is cut off where it comes slower than any line that is in use", async () => {
    const { wire, ms } = await trickle(10, 50);
    expect(wire.received).toStartWith("HTTP/1.1 408 ");
    expect(wire.received).toContain("request_timeout");
    expect(ms).toBeLessThan(4000);
  });

  test("is taken where it is only slow", async () => {
    const { wire, sent } = await trickle(5000, 50);
    expect([wire.received.slice(0, 12), sent]).toEqual(["HTTP/1.1 200", expect.any(Number)]);
  });
});
