import { describe, expect, test } from "bun:test";
import type { EngineRecord } from "../engines/grpc/engine-core.ts";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import type { PdEngine } from "../engines/pd/pd-engine.ts";
import { post, startGateway } from "../support/gateway.ts";
import { type GrpcPdOptions, startGrpcPd } from "../support/grpc-pd.ts";
import { CHAT, QUESTION } from "../support/pd-client.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";
import { TINY_MODEL, writeTinyModel } from "../support/tiny-model.ts";

const AWARE = { dpAware: true };
const TALK = { model: TINY_MODEL, messages: [{ role: "user", content: "Where does the train go?" }] };

/** The rank that each request names: by the header, and by a member of the body. */
function headersOf({ record }: PdEngine): string[] {
  return record.exchanges.map(({ request }) => String(request.headers["x-data-parallel-rank"])).toSorted();
}

function membersOf({ record }: PdEngine, member: string): number[] {
  return record.exchanges
    .map(({ request }) => Number((JSON.parse(request.body) as Record<string, unknown>)[member]))
    .toSorted((a, b) => a - b);
}

const rankOf = ({ message }: EngineRecord): number | undefined =>
  (message as { readonly dataParallelRank: number | undefined }).dataParallelRank;

describe("prefill and decode ranks over HTTP", () => {
  for (const [prefillRanks, decodeRanks, loadBalanceMethod] of [
    [4, 2, "round_robin"],
    [2, 4, "follow_bootstrap_room"],
    [1, 2, "round_robin"],
    [4, 1, "follow_bootstrap_room"],
  ] as const) {
    test(`SGLang: ${prefillRanks} that prefill and ${decodeRanks} that decode (${loadBalanceMethod})`, async () => {
      await using one = await startPdFleet({
        dialect: "sglang",
        dpSize: prefillRanks,
        prefills: 1,
        loadBalanceMethod,
        waitMs: 500,
      });
      await using two = await startPdFleet({ dialect: "sglang", dpSize: decodeRanks, decodes: 1, waitMs: 500 });
      const { prefills } = one;
      const { decodes } = two;
      await using gateway = await startPdGateway([["sglang", { prefills, decodes }]], { config: AWARE });
      const bodies = [QUESTION, { ...QUESTION, n: 3 }, { ...QUESTION, routed_dp_rank: 99, disagg_prefill_dp_rank: 98 }];
      for (let count = 0; count < 8; count += 1) {
        expect((await post(`${gateway.url}${CHAT}`, { ...bodies[count % 3], seed: count })).status).toBe(200);
      }
      expect([...one.violations, ...two.violations]).toEqual([]);
      const each = (ranks: number): number[] =>
        Array.from({ length: 8 }, (_, at) => at % ranks).toSorted((a, b) => a - b);
      const [prefill, decode] = [prefills[0] as PdEngine, decodes[0] as PdEngine];
      if (prefillRanks > 1) {
        expect(membersOf(prefill, "routed_dp_rank")).toEqual(each(prefillRanks));
        expect(membersOf(decode, "disagg_prefill_dp_rank")).toEqual(each(prefillRanks));
      }
      if (decodeRanks > 1) expect(membersOf(decode, "routed_dp_rank")).toEqual(each(decodeRanks));
    });
  }

  for (const dialect of ["nixl", "mooncake"] as const) {
    test(`vLLM with ${dialect}: each leg names its rank`, async () => {
      await using fleet = await startPdFleet({
        dialect,
        dpSize: 4,
        prefills: 1,
        decodes: 1,
        isDevMode: true,
        engine: { dpSize: 4 },
      });
      await using gateway = await startPdGateway([[dialect, fleet]], { config: AWARE });
      for (let count = 0; count < 8; count += 1) {
        expect((await post(`${gateway.url}${CHAT}`, { ...QUESTION, seed: count })).status).toBe(200);
      }
      expect([fleet.violations, fleet.kvTokens > 0]).toEqual([[], true]);
      const twice = ["0", "0", "1", "1", "2", "2", "3", "3"];
      for (const engine of [...fleet.prefills, ...fleet.decodes]) expect(headersOf(engine)).toEqual(twice);
    });
  }
});

describe.each(["sglang", "vllm"] as const)("ranks of %s over gRPC", (kind) => {
  test("are workers in turn, each named in the message", async () => {
    const tiny = await writeTinyModel();
    await using engine = await startGrpcEngine({
      kind,
      model: TINY_MODEL,
      tokenizer: tiny.tokenizer,
      tokenizerPath: tiny.path,
      dataParallelSize: 4,
    });
    await using gateway = await startGateway({ workers: [engine.url], config: AWARE });
    expect(gateway.context.workerRegistry.all().map(({ url }) => url)).toEqual(
      [0, 1, 2, 3].map((rank) => `${engine.url}@${rank}`),
    );
    for (let count = 0; count < 8; count += 1) {
      const response = await post(`${gateway.url}${CHAT}`, { ...TALK, stream: count % 2 === 1 });
      expect([response.status, (await response.text()).length > 0]).toEqual([200, true]);
    }
    expect(engine.records.map(rankOf)).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
  });

  test("are the engine's own affair without the option", async () => {
    const tiny = await writeTinyModel();
    await using engine = await startGrpcEngine({
      kind,
      model: TINY_MODEL,
      tokenizer: tiny.tokenizer,
      tokenizerPath: tiny.path,
      dataParallelSize: 4,
    });
    await using gateway = await startGateway({ workers: [engine.url] });
    await (await post(`${gateway.url}${CHAT}`, TALK)).text();
    expect(engine.records.map(rankOf)).toEqual([undefined]);
  });
});

const PAIRS: Readonly<Record<string, GrpcPdOptions>> = {
  SGLang: { kind: "sglang" },
  "vLLM with NIXL": { kind: "vllm" },
  "vLLM with Mooncake": { kind: "vllm", connector: "MooncakeConnector" },
};

for (const [name, options] of Object.entries(PAIRS)) {
  test(`prefill and decode ranks over gRPC: ${name}`, async () => {
    await using setup = await startGrpcPd({ ...options, count: 1, engine: { dataParallelSize: 2 }, config: AWARE });
    for (let count = 0; count < 4; count += 1) {
      const response = await post(`${setup.gateway.url}${CHAT}`, TALK);
      expect([response.status, (await response.text()).length > 0]).toEqual([200, true]);
    }
    expect(setup.violations).toEqual([]);
    for (const side of ["prefill", "decode"] as const) {
      expect(
        setup
          .generations(side)
          .map((record) => String(rankOf(record)))
          .toSorted(),
      ).toEqual(["0", "0", "1", "1"]);
    }
  });
}
