import { describe, expect, test } from "bun:test";
import type { Config } from "../../src/config/schema.ts";
import type { PdDialect } from "../engines/pd/pd-options.ts";
import { post, type TestGateway } from "../support/gateway.ts";
import { startGrpcPd } from "../support/grpc-pd.ts";
import { CHAT } from "../support/pd-client.ts";
import { answerText, type PdFleet, startPdFleet } from "../support/pd-engines.ts";
import { metricOf, startPdGateway } from "../support/pd-gateway.ts";
import { TINY_MODEL } from "../support/tiny-model.ts";

const BY_COST: Partial<Config> = { defaultPolicy: "least_ttft" };
const SHORT = { model: "sim-1", max_tokens: 12, messages: [{ role: "user", content: "Is this the night mail?" }] };
const LONG = {
  ...SHORT,
  messages: [{ role: "user", content: "letters for the rich and letters for the poor ".repeat(2000) }],
};

const asked = (engines: PdFleet["prefills"]): number =>
  engines.reduce((sum, { record }) => sum + record.exchanges.length, 0);

function handovers(gateway: TestGateway, outcome: string): Promise<number> {
  return metricOf(gateway, "pointsman_kv_transfers_total", { outcome });
}

const ALONE: readonly PdDialect[] = ["nixl", "mooncake", "passthrough"];
const APART: readonly PdDialect[] = ["sglang", "p2p_nccl"];

describe("a short prompt on idle workers", () => {
  for (const dialect of ALONE) {
    for (const stream of [false, true]) {
      test(`is prefilled by the decode worker: ${dialect}${stream ? ", streamed" : ""}`, async () => {
        await using fleet = await startPdFleet({ dialect });
        await using gateway = await startPdGateway([[dialect, fleet]], { config: BY_COST });
        const line = gateway.nextLine();
        const body = { ...SHORT, stream };
        const response = await post(`${gateway.url}${CHAT}`, body);
        const text = await response.text();
        expect(response.status).toBe(200);
        if (!stream) expect(answerText(JSON.parse(text))).toBe(await fleet.referenceText(CHAT, SHORT));
        expect([asked(fleet.prefills), asked(fleet.decodes)]).toEqual([0, 1]);
        expect([await handovers(gateway, "not_needed"), await handovers(gateway, "handed_over")]).toEqual([1, 0]);
        const { prefill_worker: prefillWorker, policy, attempts } = await line;
        expect([prefillWorker, policy, attempts]).toEqual([undefined, "least_ttft+least_ttft", 1]);
        expect(gateway.context.ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
        expect(fleet.violations).toEqual([]);
      });
    }
  }

  for (const dialect of APART) {
    test(`goes to a pair where decode workers cannot prefill alone: ${dialect}`, async () => {
      await using fleet = await startPdFleet({ dialect, waitMs: 500 });
      await using gateway = await startPdGateway([[dialect, fleet]], { config: BY_COST });
      const response = await post(`${gateway.url}${CHAT}`, SHORT);
      expect(answerText(await response.json())).toBe(await fleet.referenceText(CHAT, SHORT));
      expect([asked(fleet.prefills), asked(fleet.decodes)]).toEqual([1, 1]);
      expect(await handovers(gateway, "handed_over")).toBe(1);
      expect(fleet.violations).toEqual([]);
    });
  }

  test("goes to a pair where the operator wants every prefill apart", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    const config = { ...BY_COST, pdSkipPrefill: false };
    await using gateway = await startPdGateway([["nixl", fleet]], { config });
    expect((await post(`${gateway.url}${CHAT}`, SHORT)).status).toBe(200);
    expect([asked(fleet.prefills), await handovers(gateway, "handed_over")]).toEqual([1, 1]);
  });

  test("reaches the decode worker as the client sent it, without what only the gateway may say", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl", decodes: 1 });
    await using gateway = await startPdGateway([["nixl", fleet]], { config: BY_COST });
    await post(`${gateway.url}${CHAT}`, SHORT);
    const forged = { do_remote_prefill: true, remote_host: "10.0.0.1", remote_port: 1 };
    await post(`${gateway.url}${CHAT}`, { ...SHORT, kv_transfer_params: forged });
    const bodies = fleet.decodes[0]?.record.exchanges.map(({ request }): unknown => JSON.parse(request.body));
    expect(bodies).toEqual([SHORT, { ...SHORT, kv_transfer_params: null }]);
    expect(fleet.violations).toEqual([]);
  });

  test("over gRPC is prefilled by the decode worker with vLLM, and goes to a pair with SGLang", async () => {
    for (const [kind, prefills] of [
      ["vllm", 0],
      ["sglang", 1],
    ] as const) {
      await using setup = await startGrpcPd({ kind, config: BY_COST, engine: { prefillsAlone: true } });
      const body = { ...SHORT, model: TINY_MODEL };
      const response = await post(`${setup.gateway.url}${CHAT}`, body);
      expect(response.status).toBe(200);
      await response.text();
      expect([setup.generations("prefill").length, setup.generations("decode").length]).toEqual([prefills, 1]);
      expect(await handovers(setup.gateway, prefills === 0 ? "not_needed" : "handed_over")).toBe(1);
      expect(setup.violations).toEqual([]);
    }
  });
});

describe("a long prompt", () => {
  test("goes to a pair where its prefill would hold up what decodes", async () => {
    const slow = { instant: false, timing: { prefillTokensPerSec: 1e9, decodeMs: 40 } };
    await using fleet = await startPdFleet({ dialect: "nixl", prefills: 2, decodes: 1, engine: slow });
    await using gateway = await startPdGateway([["nixl", fleet]], { config: BY_COST });
    const { ledger, workerRegistry } = gateway.context;
    const decode = workerRegistry.getByUrl(fleet.decodes[0]?.url ?? "");
    // Many requests decode there.
    const streams = Array.from({ length: 12 }, (_, seed) =>
      post(`${gateway.url}${CHAT}`, { ...SHORT, seed, stream: true, max_tokens: 400 }),
    );
    await Promise.all(streams);
    while (ledger.decoding(decode?.slot ?? 0) < 12) await Bun.sleep(2);
    const before = asked(fleet.prefills);
    const line = gateway.nextLine();
    expect((await post(`${gateway.url}${CHAT}`, { ...LONG, max_tokens: 1 })).status).toBe(200);
    expect(asked(fleet.prefills)).toBe(before + 1);
    expect((await line)["prefill_worker"]).toBeString();
    await Promise.all(streams.map(async (stream) => (await stream).body?.cancel()));
  });
});

describe("prefill workers that are down", () => {
  test("leave the requests to decode workers that can do without, and come back into the choice", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    const config = { ...BY_COST, pdSkipPrefill: true };
    await using gateway = await startPdGateway([["nixl", fleet]], { config });
    const { workerRegistry } = gateway.context;
    for (const { url } of fleet.prefills) {
      workerRegistry.update(workerRegistry.getByUrl(url)?.id ?? "", { status: "not_ready" });
    }
    const response = await post(`${gateway.url}${CHAT}`, LONG);
    expect(answerText(await response.json())).toBe(await fleet.referenceText(CHAT, LONG));
    expect(asked(fleet.prefills)).toBe(0);
  });

  test("are not missed where none is registered any more, as when their pods are gone", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    await using gateway = await startPdGateway([["nixl", fleet]], { config: BY_COST });
    const status = async (path: string): Promise<number> => (await fetch(`${gateway.url}${path}`)).status;
    const { workerRegistry } = gateway.context;
    for (const { url } of fleet.prefills) workerRegistry.remove(workerRegistry.getByUrl(url)?.id ?? "");
    const response = await post(`${gateway.url}${CHAT}`, LONG);
    expect([response.status, await status("/readiness")]).toEqual([200, 200]);
    expect(answerText(await response.json())).toBe(await fleet.referenceText(CHAT, LONG));
  });

  test("are missed by decode workers that cannot do without, and where every prefill is wanted apart", async () => {
    for (const [dialect, pdSkipPrefill] of [
      ["sglang", true],
      ["nixl", false],
    ] as const) {
      await using fleet = await startPdFleet({ dialect });
      await using gateway = await startPdGateway([[dialect, fleet]], { config: { ...BY_COST, pdSkipPrefill } });
      const { workerRegistry } = gateway.context;
      for (const { url } of fleet.prefills) workerRegistry.remove(workerRegistry.getByUrl(url)?.id ?? "");
      const response = await post(`${gateway.url}${CHAT}`, SHORT);
      const readiness = await fetch(`${gateway.url}/readiness`);
      expect([response.status, readiness.status]).toEqual([503, 503]);
      expect(await response.text()).toContain("the model has no prefill worker");
    }
  });

  test("that fails a request is replaced by the decode worker's own prefill", async () => {
    const fault = { kind: "close" } as const;
    await using fleet = await startPdFleet({ dialect: "nixl", prefills: 1, decodes: 1, faults: { prefills: [fault] } });
    await using gateway = await startPdGateway([["nixl", fleet]], { config: BY_COST });
    const held = gateway.context.workerRegistry.getByUrl(fleet.decodes[0]?.url ?? "")?.slot ?? 0;
    // Prompts are pending at the decode worker, so the request goes to a pair first.
    using lease = gateway.context.ledger.charge(held, 100_000, 100_000);
    const line = gateway.nextLine();
    const response = await post(`${gateway.url}${CHAT}`, SHORT);
    expect([response.status, answerText(await response.json())]).toEqual([200, await fleet.referenceText(CHAT, SHORT)]);
    const { attempts, prefill_worker: prefillWorker } = await line;
    expect([attempts, prefillWorker, lease !== undefined]).toEqual([2, undefined, true]);
    expect([asked(fleet.prefills), asked(fleet.decodes)]).toEqual([1, 1]);
  });
});

describe("pairs that are chosen by cost", () => {
  test("keep a session on both of its workers, where sessions are sticky", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl", prefills: 3, decodes: 3 });
    const config = { ...BY_COST, pdSkipPrefill: false, stickySessions: true };
    await using gateway = await startPdGateway([["nixl", fleet]], { config });
    const pairs = new Map<string, Set<string>>();
    for (let turn = 0; turn < 5; turn += 1) {
      for (const session of ["a", "b", "c", "d"]) {
        const line = gateway.nextLine();
        // Nothing but the session says that these belong together.
        const messages = [{ role: "user", content: `${session}${turn} is this the night mail?` }];
        await (await post(`${gateway.url}${CHAT}`, { ...SHORT, messages }, { "x-session-id": session })).text();
        const { prefill_worker: prefill, worker } = await line;
        pairs.set(session, (pairs.get(session) ?? new Set()).add(`${String(prefill)} ${String(worker)}`));
      }
    }
    expect([...pairs.values()].map(({ size }) => size)).toEqual([1, 1, 1, 1]);
    for (const role of ["prefill", "decode"]) {
      expect(await metricOf(gateway, "pointsman_sessions", { role })).toBe(4);
      expect(await metricOf(gateway, "pointsman_session_requests_total", { role, outcome: "kept" })).toBe(16);
    }
  });

  test.each([
    ["nixl", false],
    ["nixl", true],
    ["sglang", false],
    ["sglang", true],
  ] as const)("hear what prefill workers had cached: %s, stream %p", async (dialect, stream) => {
    await using fleet = await startPdFleet({ dialect, prefills: 1, decodes: 1 });
    await using gateway = await startPdGateway([[dialect, fleet]], { config: { ...BY_COST, pdSkipPrefill: false } });
    const body = { ...LONG, stream, ...(stream ? { stream_options: { include_usage: true } } : {}) };
    for (let turn = 0; turn < 3; turn += 1) await (await post(`${gateway.url}${CHAT}`, body)).text();
    // With SGLang the end of prefill's answer may come behind decode's.
    while (gateway.context.ledger.totals().inFlight > 0) await Bun.sleep(1);
    const worker = fleet.prefills[0]?.url ?? "";
    const found = await metricOf(gateway, "pointsman_found_cached_prompt_tokens_total", { worker });
    const predicted = await metricOf(gateway, "pointsman_predicted_cached_prompt_tokens_total", { worker });
    expect(found).toBeGreaterThan(30_000);
    expect(predicted / found).toBeWithin(0.8, 1.2);
    const { models } = gateway.context.policyRegistry.describe();
    for (const { role, signals } of models) {
      for (const { requests } of signals ?? []) expect([role, requests]).toEqual([role, 3]);
    }
  });
});

test("`debug` lines have the terms of both ways in seconds", async () => {
  await using fleet = await startPdFleet({ dialect: "nixl" });
  const lines: Record<string, unknown>[] = [];
  const logger = {
    debug: (fields: object, message: string) => void (message === "choice" && lines.push({ ...fields })),
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
  };
  const config: Partial<Config> = { ...BY_COST, logLevel: "debug" };
  await using gateway = await startPdGateway([["nixl", fleet]], { config, overrides: { logger } });
  await (await post(`${gateway.url}${CHAT}`, SHORT)).text();
  while (lines.length === 0) await Bun.sleep(1);
  expect(lines[0]).toMatchObject({ reason: "prefills_alone", unit: "s" });
});
