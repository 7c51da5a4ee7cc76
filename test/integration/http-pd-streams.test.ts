import { describe, expect, test } from "bun:test";
import type { Config } from "../../src/config/schema.ts";
import type { PdDialect } from "../engines/pd/pd-options.ts";
import type { PdEngine } from "../engines/pd/pd-engine.ts";
import { openRaw, rawPost } from "../support/client.ts";
import { post, type TestGateway } from "../support/gateway.ts";
import { CHAT, QUESTION } from "../support/pd-client.ts";
import { type PdFleet, startPdFleet } from "../support/pd-engines.ts";
import { metricOf, startPdGateway } from "../support/pd-gateway.ts";
import { streamText } from "../support/stream-text.ts";
import { eventually } from "../faults/observe.ts";

/** One prefill and one decode worker, or two of each, and the gateway before them. */
async function withPair<T>(
  dialect: PdDialect,
  work: (fleet: PdFleet, gateway: TestGateway, prefill: PdEngine, decode: PdEngine) => Promise<T>,
  config: Partial<Config> = {},
  each = 1,
): Promise<T> {
  await using fleet = await startPdFleet({ dialect, waitMs: 3000, prefills: each, decodes: each });
  await using gateway = await startPdGateway([[dialect, fleet]], {
    config: { healthCheckIntervalSecs: 60, ...config },
  });
  const [prefill] = fleet.prefills;
  const [decode] = fleet.decodes;
  if (!prefill || !decode) throw new Error("an empty fleet");
  const result = await work(fleet, gateway, prefill, decode);
  await eventually(() => gateway.context.ledger.totals().inFlight === 0, "nothing is counted any more");
  expect(gateway.context.ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
  expect(fleet.violations).toEqual([]);
  return result;
}

const STREAM = { ...QUESTION, stream: true };
const asked = (engine: PdEngine): number => engine.record.exchanges.length;
const isLeft = (engine: PdEngine): boolean => engine.record.exchanges.every(({ isAborted }) => isAborted);
/** Codes by which attempts ended that a breaker hears of. */
const FAULTS = /outcome="upstream_/;

describe("a client that leaves", () => {
  async function leaveWhen(
    gateway: TestGateway,
    isTime: (received: string) => boolean,
    underWay: readonly PdEngine[],
  ): Promise<void> {
    const line = gateway.nextLine();
    const client = await openRaw(gateway.url, rawPost(CHAT, STREAM));
    await eventually(() => isTime(client.received), "it is time to leave");
    client.hangUp();
    const leftAt = performance.now();
    await eventually(() => underWay.every(isLeft), "the workers are left");
    expect(performance.now() - leftAt).toBeLessThan(100);
    expect(await line).toMatchObject({ status: 499, error: "client_closed", attempts: 1 });
    expect(gateway.context.metrics.expose()).not.toMatch(FAULTS);
  }

  test("while prefill works, with decode not asked yet", () =>
    withPair("nixl", async (_fleet, gateway, prefill, decode) => {
      await prefill.setFault({ kind: "hang" });
      await leaveWhen(gateway, () => asked(prefill) === 1, [prefill]);
      expect(asked(decode)).toBe(0);
    }));

  test("while prefill works and decode waits for it", () =>
    withPair("sglang", async (_fleet, gateway, prefill, decode) => {
      await prefill.setFault({ kind: "hang" });
      await leaveWhen(gateway, () => asked(prefill) === 1 && asked(decode) === 1, [prefill, decode]);
    }));

  for (const dialect of ["nixl", "sglang"] as const) {
    test(`while decode works, prefill being done (${dialect})`, () =>
      withPair(dialect, async (_fleet, gateway, prefill, decode) => {
        await decode.setFault({ kind: "hang", at: "handoff" });
        await leaveWhen(gateway, () => prefill.record.exchanges[0]?.endSequence !== undefined && asked(decode) === 1, [
          decode,
        ]);
      }));

    test(`within the stream (${dialect})`, () =>
      withPair(dialect, async (_fleet, gateway, _prefill, decode) => {
        await decode.setFault({ kind: "slow", eventMs: 20 });
        await leaveWhen(gateway, (received) => received.includes('"content":"'), [decode]);
      }));
  }

  test("within the stream, while prefill has not said its last word", () =>
    withPair("sglang", async (_fleet, gateway, prefill, decode) => {
      await prefill.setFault({ kind: "hang", at: "handoff" });
      await decode.setFault({ kind: "slow", eventMs: 20 });
      await leaveWhen(gateway, (received) => received.includes('"content":"'), [prefill, decode]);
    }));

  test("when decode is done, while its answer waits for what prefill says", () =>
    withPair("sglang", async (_fleet, gateway, prefill, decode) => {
      await prefill.setFault({ kind: "hang", at: "handoff" });
      const line = gateway.nextLine();
      const client = await openRaw(gateway.url, rawPost("/generate", { text: "which platform", return_logprob: true }));
      await eventually(() => decode.record.exchanges[0]?.endSequence !== undefined, "decode is done");
      client.hangUp();
      await eventually(() => isLeft(prefill), "prefill is left");
      expect(await line).toMatchObject({ status: 499 });
    }));
});

for (const dialect of ["nixl", "sglang"] as const) {
  test(`a stream whose decode worker dies ends as cut, and the prefill worker is not blamed (${dialect})`, () =>
    withPair(dialect, async (fleet, gateway, prefill, decode) => {
      await decode.setFault({ kind: "die", afterEvents: 3 });
      const line = gateway.nextLine();
      const text = await (await post(`${gateway.url}${CHAT}`, STREAM)).text();
      expect(text).not.toContain("[DONE]");
      expect(text).toContain('"code":"upstream_reset"');
      expect((await fleet.referenceText(CHAT, QUESTION)).startsWith(streamText(text))).toBe(true);
      expect(await line).toMatchObject({ status: 200, error: "upstream_reset", attempts: 1 });
      const count = (worker: PdEngine, outcome: string): Promise<number> =>
        metricOf(gateway, "pointsman_worker_attempts_total", { worker: worker.url, outcome });
      expect([await count(decode, "upstream_reset"), await count(prefill, "ok")]).toEqual([1, 1]);
    }));

  test(`another decode worker goes on with a stream, and its KV comes from prefill (${dialect})`, () =>
    withPair(
      dialect,
      async (fleet, gateway) => {
        const [first, second] = fleet.decodes;
        await first?.setFault({ kind: "die", afterEvents: 4 });
        const continuations = (): Promise<number> =>
          metricOf(gateway, "pointsman_stream_continuations_total", { code: "upstream_reset" });
        let text = "";
        // In turn by the policy, so that the faulty one is among the first two.
        for (let count = 0; count < 2 && (await continuations()) === 0; count += 1) {
          text = await (await post(`${gateway.url}${CHAT}`, STREAM)).text();
        }
        expect(await continuations()).toBe(1);
        expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
        expect(streamText(text)).toBe(await fleet.referenceText(CHAT, QUESTION));
        const last = second?.record.exchanges.at(-1)?.request.body ?? "";
        expect(JSON.parse(last)).toMatchObject({ continue_final_message: true });
        const prefilled = fleet.prefills.flatMap(({ record }) => record.exchanges);
        const isContinued = ({ request }: { request: { body: string } }): boolean =>
          request.body.includes('"continue_final_message":true');
        expect(prefilled.filter(isContinued)).toHaveLength(1);
        expect(fleet.decodes.map(({ record }) => record.recomputed)).toEqual([0, 0]);
      },
      { continueStreams: ["*"] },
      2,
    ));
}

test("a prefill worker that breaks when the stream has begun is charged for it, and the stream goes on", () =>
  withPair("sglang", async (fleet, gateway, prefill, decode) => {
    await prefill.setFault({ kind: "die", afterEvents: 0 });
    await decode.setFault({ kind: "slow", eventMs: 3 });
    const text = await (await post(`${gateway.url}${CHAT}`, STREAM)).text();
    expect(streamText(text)).toBe(await fleet.referenceText(CHAT, QUESTION));
    expect(text).toContain("data: [DONE]");
    const labels = { worker: prefill.url, outcome: "upstream_closed" };
    expect(await metricOf(gateway, "pointsman_worker_attempts_total", labels)).toBe(1);
  }));

test("an answer that needs what prefill did not say is none", () =>
  withPair(
    "sglang",
    async (_fleet, gateway, prefill, decode) => {
      await prefill.setFault({ kind: "hang", at: "handoff" });
      const body = { text: "which platform", return_logprob: true, logprob_start_len: 0 };
      const response = await post(`${gateway.url}/generate`, body);
      expect(response.status).toBe(504);
      const outcome = (worker: PdEngine, outcome: string): Promise<number> =>
        metricOf(gateway, "pointsman_worker_attempts_total", { worker: worker.url, outcome });
      expect([await outcome(prefill, "upstream_timeout"), await outcome(decode, "upstream_timeout")]).toEqual([1, 0]);
    },
    { firstByteTimeoutSecs: 0.2 },
  ));

test("an error of either leg has the shape of the caller's API", () =>
  withPair("nixl", async (_fleet, gateway, prefill, decode) => {
    for (const engine of [prefill, decode]) {
      await engine.setFault({ kind: "status", status: 500 });
      const body = { ...QUESTION, max_tokens: 8 };
      const response = await post(`${gateway.url}/v1/messages`, body);
      expect([response.status, await response.json()]).toMatchObject([
        500,
        { type: "error", error: { type: "api_error" } },
      ]);
      await engine.setFault(undefined);
    }
  }));

for (const dialect of ["sglang", "nixl"] as const) {
  test(`a client that waits for prefill has the head and a sign of life in time (${dialect})`, () =>
    withPair(
      dialect,
      async (_fleet, gateway, prefill) => {
        await prefill.setFault({ kind: "slow", headMs: 2600, eventMs: 1 });
        const line = gateway.nextLine();
        const client = await openRaw(gateway.url, rawPost(CHAT, STREAM));
        await client.until(": keep-alive\n");
        expect(client.received).not.toContain("data:");
        const text = await client.until("data: [DONE]\n\n");
        expect(streamText(text).length).toBeGreaterThan(0);
        const { status, attempts, error } = await line;
        expect([status, attempts, error]).toEqual([200, 1, undefined]);
        client.hangUp();
      },
      { streamKeepAliveSecs: 1 },
    ));
}
