import { describe, expect, test } from "bun:test";
import type { PdEngine } from "../engines/pd/pd-engine.ts";
import { post, type TestGateway } from "../support/gateway.ts";
import { CHAT, COMPLETIONS, QUESTION } from "../support/pd-client.ts";
import { answerText, type PdFleet, startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";

interface Failure {
  readonly error: { readonly code: string; readonly message: string };
}

async function refusal(gateway: TestGateway, path = CHAT, body: object = QUESTION): Promise<[number, string, string]> {
  const response = await post(`${gateway.url}${path}`, body);
  const { error } = (await response.json()) as Failure;
  return [response.status, error.code, error.message];
}

const asked = (engine: PdEngine): number => engine.record.exchanges.length;
const idOf = (gateway: TestGateway, engine: PdEngine | undefined): string | undefined =>
  gateway.context.workerRegistry.getByUrl(engine?.url ?? "")?.id;

describe("a leg without workers", () => {
  for (const missing of ["prefill", "decode"] as const) {
    test(`is named to the client, and the gateway is not ready: ${missing}`, async () => {
      await using fleet = await startPdFleet({ dialect: "nixl" });
      const rest = missing === "prefill" ? { ...fleet, prefills: [] } : { ...fleet, decodes: [] };
      await using gateway = await startPdGateway([["nixl", rest]]);
      expect(await refusal(gateway)).toEqual([503, "no_available_workers", `the model has no ${missing} worker`]);
      expect((await fetch(`${gateway.url}/readiness`)).status).toBe(503);
    });

    test(`that are up says so, and serves again when one is: ${missing}`, async () => {
      await using fleet = await startPdFleet({ dialect: "nixl" });
      await using gateway = await startPdGateway([["nixl", fleet]]);
      const { workerRegistry } = gateway.context;
      const engines = missing === "prefill" ? fleet.prefills : fleet.decodes;
      for (const engine of engines) workerRegistry.update(idOf(gateway, engine) ?? "", { status: "not_ready" });
      const [status, code, message] = await refusal(gateway);
      expect([status, code, message]).toEqual([
        503,
        "no_available_workers",
        `no ${missing} worker can take this request now`,
      ]);
      expect((await fetch(`${gateway.url}/readiness`)).status).toBe(503);
      workerRegistry.update(idOf(gateway, engines[0]) ?? "", { status: "ready" });
      expect((await post(`${gateway.url}${CHAT}`, QUESTION)).status).toBe(200);
      expect((await fetch(`${gateway.url}/readiness`)).status).toBe(200);
    });
  }

  test("a worker that comes over the API fills it", async () => {
    await using fleet = await startPdFleet({ dialect: "p2p_nccl", prefills: 1, decodes: 1 });
    await using gateway = await startPdGateway([["p2p_nccl", { ...fleet, decodes: [] }]]);
    const [decode] = fleet.decodes;
    const added = await post(`${gateway.url}/workers?wait=true`, {
      url: decode?.url,
      worker_type: "decode",
      labels: { kv_address: `127.0.0.1:${decode?.kvPort}` },
    });
    expect(added.status).toBeLessThan(300);
    const answer: unknown = await (await post(`${gateway.url}${CHAT}`, QUESTION)).json();
    expect(answerText(answer)).toBe(await fleet.referenceText(CHAT, QUESTION));
    expect([fleet.violations, fleet.kvTokens > 0]).toEqual([[], true]);
  });
});

describe("workers that do not fit", () => {
  test("mixed connectors in one model pair up with their like", async () => {
    await using nixl = await startPdFleet({ dialect: "nixl", prefills: 1, decodes: 1 });
    await using sglang = await startPdFleet({ dialect: "sglang", prefills: 1, decodes: 2, waitMs: 500 });
    await using other = await startPdFleet({ dialect: "passthrough", prefills: 1, decodes: 1 });
    await using gateway = await startPdGateway([
      ["nixl", nixl],
      ["sglang", sglang],
      ["passthrough", other],
    ]);
    for (let count = 0; count < 12; count += 1) {
      expect((await post(`${gateway.url}${CHAT}`, { ...QUESTION, seed: count })).status).toBe(200);
    }
    for (const fleet of [nixl, sglang, other]) {
      expect(fleet.violations).toEqual([]);
      expect(fleet.prefills.reduce((sum, engine) => sum + asked(engine), 0)).toBeGreaterThan(1);
      expect(fleet.kvTokens).toBeGreaterThan(0);
    }
  });

  test("alone are nobody's pair, and the client is told", async () => {
    await using nixl = await startPdFleet({ dialect: "nixl" });
    await using sglang = await startPdFleet({ dialect: "sglang" });
    await using gateway = await startPdGateway([
      ["nixl", { ...nixl, decodes: [] }],
      ["sglang", { ...sglang, prefills: [] }],
    ]);
    const sentence = "no prefill and decode workers that fit together can take this request now";
    expect(await refusal(gateway)).toEqual([503, "no_available_workers", sentence]);
    expect([...nixl.prefills, ...sglang.decodes].map(asked)).toEqual([0, 0, 0, 0]);
    const readiness = await fetch(`${gateway.url}/readiness`);
    expect([readiness.status, await readiness.json()]).toEqual([
      503,
      {
        status: "not ready",
        code: "no_available_workers",
        reason: "no healthy prefill and decode workers that fit together",
        errors: {},
      },
    ]);
  });

  test("do not take the place of one that failed", async () => {
    await using nixl = await startPdFleet({ dialect: "nixl", prefills: 1, decodes: 1 });
    await using sglang = await startPdFleet({ dialect: "sglang", prefills: 1, decodes: 1 });
    await nixl.prefills[0]?.setFault({ kind: "status", status: 503, retryAfterSecs: 3 });
    await using gateway = await startPdGateway([
      ["nixl", nixl],
      ["sglang", { ...sglang, decodes: [] }],
    ]);
    const response = await post(`${gateway.url}${CHAT}`, QUESTION);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "3"]);
    expect(await response.text()).toContain("upstream_busy");
    expect(nixl.prefills.map(asked)).toEqual([1]);
  });

  test("P2pNccl without an address is no connector", async () => {
    await using fleet = await startPdFleet({ dialect: "p2p_nccl" });
    await using gateway = await startPdGateway([["p2p_nccl", fleet]], { worker: () => ({ labels: {} }) });
    expect((await refusal(gateway))[2]).toContain("fit together");
  });
});

describe("the connector", () => {
  test("is the operator's word where the engine does not say", async () => {
    await using fleet = await startPdFleet({ dialect: "mooncake", isDevMode: false });
    await using gateway = await startPdGateway([["mooncake", fleet]], {
      worker: ({ engineId, kvPort }) => ({
        bootstrapPort: kvPort,
        labels: { kv_connector: "mooncake", kv_engine_id: engineId },
      }),
    });
    expect((await post(`${gateway.url}${CHAT}`, QUESTION)).status).toBe(200);
    expect([fleet.violations, fleet.kvTokens > 0]).toEqual([[], true]);
  });

  test("of a vLLM that does not say is NIXL's, and what prefill does not hand over is counted", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl", isDevMode: false, prefills: 1 });
    await using gateway = await startPdGateway([["nixl", fleet]]);
    expect((await post(`${gateway.url}${CHAT}`, QUESTION)).status).toBe(200);
    expect([fleet.violations, fleet.kvTokens > 0]).toEqual([[], true]);
  });

  test("says which routes there are: the others are refused by name", async () => {
    await using sglang = await startPdFleet({ dialect: "sglang" });
    await using gateway = await startPdGateway([["sglang", sglang]]);
    const body = { ...QUESTION, max_tokens: 4 };
    expect(await refusal(gateway, "/v1/responses", { model: "sim-1", input: "hi" })).toEqual([
      501,
      "not_implemented",
      "/v1/responses cannot be served by workers with the sglang connector",
    ]);
    expect((await post(`${gateway.url}/v1/messages`, body)).status).toBe(501);
    const embeddings = await refusal(gateway, "/v1/embeddings", { model: "sim-1", input: "hi" });
    expect(embeddings.slice(0, 2)).toEqual([501, "not_implemented"]);
    expect(sglang.prefills.map(asked)).toEqual([0, 0]);
  });

  test("that is not built is refused before an engine is asked", async () => {
    await using fleet = await startPdFleet({ dialect: "passthrough" });
    await using gateway = await startPdGateway([["passthrough", fleet]], {
      worker: () => ({ labels: { kv_connector: "MoRIIOConnector" } }),
    });
    const sentence = `${CHAT} cannot be served by workers with the moriio connector`;
    expect(await refusal(gateway)).toEqual([501, "not_implemented", sentence]);
    expect([...fleet.prefills, ...fleet.decodes].map(asked)).toEqual([0, 0, 0, 0]);
  });

  test("takes no more sequences than an engine does", async () => {
    await using fleet = await startPdFleet({ dialect: "sglang" });
    await using gateway = await startPdGateway([["sglang", fleet]]);
    const [status, code] = await refusal(gateway, COMPLETIONS, { model: "sim-1", prompt: "x", n: 1_000_000_000 });
    expect([status, code]).toEqual([400, "invalid_request"]);
    expect(gateway.context.ledger.totals().inFlight).toBe(0);
  });
});

describe("data-parallel ranks", () => {
  for (const [prefillRanks, decodeRanks, loadBalanceMethod] of [
    [4, 1, "follow_bootstrap_room"],
    [4, 2, "round_robin"],
    [1, 4, "follow_bootstrap_room"],
  ] as const) {
    test(`SGLang: ${prefillRanks} that prefill and ${decodeRanks} that decode (${loadBalanceMethod})`, async () => {
      await using one = await startPdFleet({ dialect: "sglang", dpSize: prefillRanks, loadBalanceMethod, waitMs: 500 });
      await using two = await startPdFleet({ dialect: "sglang", dpSize: decodeRanks, waitMs: 500 });
      await using gateway = await startPdGateway([["sglang", { prefills: one.prefills, decodes: two.decodes }]]);
      const bodies = [QUESTION, { ...QUESTION, n: 3 }, { ...QUESTION, routed_dp_rank: 99, disagg_prefill_dp_rank: 98 }];
      for (let count = 0; count < 12; count += 1) {
        expect((await post(`${gateway.url}${CHAT}`, { ...bodies[count % 3], seed: count })).status).toBe(200);
      }
      expect([...one.violations, ...two.violations]).toEqual([]);
      const ranks = one.prefills
        .flatMap(({ record }) => record.exchanges)
        .map(({ request }) => /"routed_dp_rank":(\d+)/.exec(request.body)?.[1]);
      expect(new Set(ranks).size).toBeGreaterThan(prefillRanks > 1 ? 1 : 0);
    });
  }

  for (const isDevMode of [true, false]) {
    test(`Mooncake: each rank is an engine of its own (${isDevMode ? "asked" : "told"})`, async () => {
      await using fleet = await startPdFleet({ dialect: "mooncake", dpSize: 4, isDevMode });
      await using gateway = await startPdGateway([["mooncake", fleet]], {
        worker: ({ engineId, kvPort }) =>
          isDevMode
            ? {}
            : {
                bootstrapPort: kvPort,
                labels: { kv_connector: "mooncake", kv_engine_id: engineId, dp_size: "4" },
              },
      });
      for (let count = 0; count < 8; count += 1) {
        expect((await post(`${gateway.url}${CHAT}`, { ...QUESTION, seed: count })).status).toBe(200);
      }
      expect([fleet.violations, fleet.kvTokens > 0]).toEqual([[], true]);
    });
  }

  test("P2pNccl: an address cannot be that of several ranks", async () => {
    await using fleet = await startPdFleet({ dialect: "p2p_nccl", dpSize: 2 });
    await using gateway = await startPdGateway([["p2p_nccl", fleet]]);
    expect((await refusal(gateway))[2]).toContain("fit together");
  });
});

describe("the decision", () => {
  const LONG = { ...QUESTION, messages: [{ role: "user", content: "Which train goes to Crewe? ".repeat(200) }] };

  async function served(fleet: PdFleet, gateway: TestGateway, times: number): Promise<Record<string, unknown>[]> {
    const lines: Promise<Record<string, unknown>>[] = [];
    for (let count = 0; count < times; count += 1) {
      lines.push(gateway.nextLine());
      expect((await post(`${gateway.url}${CHAT}`, LONG)).status).toBe(200);
    }
    expect(fleet.violations).toEqual([]);
    return Promise.all(lines);
  }

  test("is one record: who prefilled, who decoded, by which policies, at which try", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl", prefills: 1, decodes: 1 });
    await using gateway = await startPdGateway([["nixl", fleet]], {
      config: { prefillPolicy: "cache_aware", decodePolicy: "shortest_queue" },
    });
    expect((await served(fleet, gateway, 1))[0]).toMatchObject({
      model: "sim-1",
      worker: idOf(gateway, fleet.decodes[0]),
      prefill_worker: idOf(gateway, fleet.prefills[0]),
      policy: "cache_aware+shortest_queue",
      attempts: 1,
    });
  });

  test("each leg has its own policy: equal prompts prefill at one worker and decode in turn", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    await using gateway = await startPdGateway([["nixl", fleet]], {
      config: { prefillPolicy: "cache_aware", decodePolicy: "round_robin" },
    });
    const lines = await served(fleet, gateway, 8);
    expect(fleet.decodes.map(asked)).toEqual([4, 4]);
    expect(new Set(lines.map((line) => line["policy"]))).toEqual(new Set(["cache_aware+round_robin"]));
    expect(Math.max(...fleet.prefills.map(asked))).toBe(8);
  });

  test("a hint of the first worker of a leg comes before a pattern, and that before the leg's own policy", async () => {
    await using fleet = await startPdFleet({ dialect: "nixl" });
    await using gateway = await startPdGateway([["nixl", fleet]], {
      config: {
        prefillPolicy: "shortest_queue",
        decodePolicy: "shortest_queue",
        modelPolicies: { patterns: [{ match: "sim-*", policy: "random", config: {} }] },
      },
      worker: ({ side }) => (side === "decode" ? { policy: "round_robin" } : {}),
    });
    expect((await served(fleet, gateway, 1))[0]).toMatchObject({ policy: "random+round_robin" });
  });

  test("each worker gets its own key, and nobody the client's", async () => {
    await using one = await startPdFleet({ dialect: "sglang", engine: { apiKey: "of-prefill" } });
    await using two = await startPdFleet({ dialect: "sglang", engine: { apiKey: "of-decode" } });
    await using gateway = await startPdGateway([["sglang", { prefills: one.prefills, decodes: two.decodes }]], {
      worker: ({ side }) => ({ apiKey: `of-${side}` }),
    });
    const response = await post(`${gateway.url}${CHAT}`, QUESTION, { authorization: "Bearer of the client" });
    expect(response.status).toBe(200);
    const keys = [...one.prefills, ...two.decodes].flatMap(({ record }) =>
      record.exchanges.map(({ request }) => request.headers["authorization"]),
    );
    expect(keys).toEqual(["Bearer of-prefill", "Bearer of-decode"]);
  });
});
