import { expect, test } from "bun:test";
import type { PdFault } from "../engines/pd/faults.ts";
import {
  askBoth,
  bootstrap,
  CHAT,
  firstPair,
  prefillBody,
  QUESTION,
  send,
  withParams,
  writtenParams,
} from "../support/pd-client.ts";
import { type PdFleet, startPdFleet } from "../support/pd-engines.ts";

const ID = { headers: { "x-request-id": "r-1" } };

/** What a client sees of an answer: its status and text, or that it broke. */
async function seen(answer: Promise<Response>): Promise<string> {
  try {
    const response = await answer;
    return `${response.status} ${await response.text()}`;
  } catch {
    return "broken";
  }
}

async function withFaults(prefill: PdFault | undefined, decode?: PdFault): Promise<PdFleet> {
  return startPdFleet({ dialect: "nixl", faults: { prefills: [prefill], decodes: [decode] } });
}

test("an engine refuses connections, and listens again on the same port", async () => {
  await using fleet = await withFaults({ kind: "refuse" });
  const { prefill } = firstPair(fleet);
  expect(await seen(fetch(`${prefill.url}/health`))).toBe("broken");
  await prefill.setFault(undefined);
  expect(await seen(fetch(`${prefill.url}/health`))).toBe("200 OK");
});

test("a connection ends before the head, for as many requests as were said", async () => {
  await using fleet = await withFaults({ kind: "close", times: 1 });
  const { prefill } = firstPair(fleet);
  expect(await seen(send(prefill, CHAT, prefillBody(QUESTION), ID))).toBe("broken");
  expect(await seen(send(prefill, CHAT, prefillBody(QUESTION), ID))).toStartWith("200 ");
  expect(prefill.record.exchanges.map(({ endSequence }) => endSequence !== undefined)).toEqual([false, true]);
});

test("an engine answers with a status and says when to come again", async () => {
  await using fleet = await withFaults({ kind: "status", status: 503, retryAfterSecs: 7 });
  const response = await send(firstPair(fleet).prefill, CHAT, prefillBody(QUESTION), ID);
  expect([response.status, response.headers.get("retry-after")]).toEqual([503, "7"]);
  expect(fleet.violations).toEqual([]);
});

test("an engine that hangs sends no head, and notices that its client goes", async () => {
  await using fleet = await withFaults({ kind: "hang" });
  const { prefill } = firstPair(fleet);
  const leaving = new AbortController();
  const answer = seen(send(prefill, CHAT, prefillBody(QUESTION), { ...ID, signal: leaving.signal }));
  while (prefill.record.exchanges.length === 0) await Bun.sleep(1);
  leaving.abort();
  expect(await answer).toBe("broken");
  while (!prefill.record.exchanges[0]?.isAborted) await Bun.sleep(1);
});

test("an answer of JSON breaks in its middle", async () => {
  await using fleet = await withFaults({ kind: "die", afterEvents: 0 });
  const response = await send(firstPair(fleet).prefill, CHAT, prefillBody(QUESTION), ID);
  expect(response.status).toBe(200);
  expect(await response.text().catch(() => "broken")).toBe("broken");
});

test("a decode engine breaks its stream after so many events, with the KV gone from the prefill engine", async () => {
  await using fleet = await withFaults(undefined, { kind: "die", afterEvents: 3 });
  const { prefill, decode } = firstPair(fleet);
  const params = writtenParams(await (await send(prefill, CHAT, prefillBody(QUESTION), ID)).text());
  const response = await send(decode, CHAT, withParams({ ...QUESTION, stream: true }, params), ID);
  let received = "";
  const reading = (async () => {
    for await (const bytes of response.body ?? []) received += Buffer.from(bytes).toString();
  })();
  expect(await reading.catch(() => "broken")).toBe("broken");
  expect(received.match(/^data: /gm)).toHaveLength(3);
  expect(prefill.heldTokens).toBe(0);
  expect(decode.stats.aborted).toBe(1);
});

test("a decode engine fails before it fetches, or after: only then the KV is gone", async () => {
  for (const [at, held] of [
    ["arrival", true],
    ["handoff", false],
  ] as const) {
    await using fleet = await withFaults(undefined, { kind: "status", status: 500, at });
    const { prefill, decode } = firstPair(fleet);
    const params = writtenParams(await (await send(prefill, CHAT, prefillBody(QUESTION), ID)).text());
    expect(await seen(send(decode, CHAT, withParams(QUESTION, params), ID))).toStartWith("500 ");
    expect(prefill.heldTokens > 0).toBe(held);
  }
});

test("an engine is slow with its head and with each event", async () => {
  await using fleet = await withFaults(undefined, { kind: "slow", headMs: 30, eventMs: 5 });
  const { decode } = firstPair(fleet);
  const start = performance.now();
  const response = await send(decode, CHAT, { ...QUESTION, stream: true });
  expect(performance.now() - start).toBeGreaterThan(29);
  const events = (await response.text()).match(/^data: /gm)?.length ?? 0;
  expect(performance.now() - start).toBeGreaterThan(30 + 5 * (events - 2));
});

test("a leg whose partner fails waits in vain, and nobody departed from the protocol", async () => {
  for (const faults of [{ prefills: [{ kind: "status", status: 503 }] }, { decodes: [{ kind: "hang" }] }] satisfies {
    prefills?: PdFault[];
    decodes?: PdFault[];
  }[]) {
    await using fleet = await startPdFleet({ dialect: "sglang", waitMs: 100, faults });
    const { prefill, decode } = firstPair(fleet);
    const leaving = new AbortController();
    const body = { ...QUESTION, ...bootstrap(prefill) };
    const legs = [prefill, decode].map(async (leg) => seen(send(leg, CHAT, body, { signal: leaving.signal })));
    expect(await Promise.race(legs)).toMatch(/^50[03] /);
    await Bun.sleep(150);
    leaving.abort();
    await Promise.all(legs);
    expect(fleet.violations).toEqual([]);
    expect([prefill, decode].flatMap(({ record }) => record.kvFailures)).toHaveLength(1);
  }
});

test("a prefill leg that its client leaves gives its partner up", async () => {
  await using fleet = await startPdFleet({
    dialect: "sglang",
    waitMs: 5000,
    engine: { instant: false, timing: { prefillTokensPerSec: 20 } },
  });
  const { prefill, decode } = firstPair(fleet);
  const leaving = new AbortController();
  const body = { ...QUESTION, ...bootstrap(prefill) };
  const first = seen(send(prefill, CHAT, body, { signal: leaving.signal }));
  const second = seen(send(decode, CHAT, body));
  while (prefill.stats.started === 0) await Bun.sleep(1);
  leaving.abort();
  expect(await first).toBe("broken");
  expect(await second).toStartWith("500 ");
  expect([fleet.violations.length, decode.record.kvFailures.length]).toEqual([0, 1]);
  while (prefill.stats.aborted === 0) await Bun.sleep(1);
});

test("a gone prefill engine is no fault of the client's", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang", waitMs: 500 });
  const { prefill, decode } = firstPair(fleet);
  await prefill.stop();
  expect(await seen(send(decode, CHAT, { ...QUESTION, ...bootstrap(prefill) }))).toStartWith("500 ");
  expect([fleet.violations.length, decode.record.kvFailures.length]).toEqual([0, 1]);
  expect((await askBoth(fleet, CHAT, QUESTION).catch(() => undefined))?.decoded.status).toBeUndefined();
});
