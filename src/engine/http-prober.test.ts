import { describe, expect, test } from "bun:test";
import type { ProbeFailure, WorkerFacts } from "../worker/prober.ts";
import type { WorkerInfo } from "../worker/worker.ts";
import { UNKNOWN_INFO } from "../worker/worker-factory.ts";
import { askWorker, listingOf } from "./http-prober.ts";
import type { Page, ProbeClient } from "./probe-client.ts";
import { Secret } from "../util/secret.ts";
import type { WorkerType } from "../util/worker-type.ts";

/** Pages by path, or by address where they are not the worker's own; a Page stands for itself. */
function pagesClient(pages: Record<string, unknown>): ProbeClient {
  return {
    health: () => Promise.resolve(undefined),
    async page({ url, path }): Promise<Page> {
      const page = pages[url === "http://w" ? path : url + path];
      if (page === undefined) return { kind: "none" };
      return isFailed(page) ? page : { kind: "json", value: page };
    },
    text: async ({ path }) => wordsOf(pages[path]),
  };
}

function wordsOf(page: unknown): string {
  return typeof page === "string" ? page : "";
}

function isFailed(page: unknown): page is Extract<Page, { kind: "failed" }> {
  return typeof page === "object" && page !== null && "kind" in page && page.kind === "failed";
}

describe("asking a worker what it is", () => {
  const factsAs = (
    workerType: WorkerType,
    pages: Record<string, unknown>,
    modelFallback?: string,
  ): Promise<WorkerFacts> =>
    askWorker({ url: "http://w", apiKey: undefined, timeoutMs: 1, workerType, modelFallback }, pagesClient(pages));
  const askAs = async (...asked: Parameters<typeof factsAs>): Promise<WorkerInfo> => (await factsAs(...asked)).info;
  const ask = (pages: Record<string, unknown>, modelFallback?: string): Promise<WorkerInfo> =>
    askAs("regular", pages, modelFallback);

  test("vLLM", async () => {
    const models = {
      data: [
        { id: "m", owned_by: "vllm", max_model_len: 4096 },
        { id: "m-lora", owned_by: "vllm", created: 7, root: "/loras/m", parent: "m" },
      ],
    };
    expect(await ask({ "/v1/models": models, "/version": { version: "0.32" } })).toEqual({
      models: ["m", "m-lora"],
      cards: [
        { id: "m", maxModelLen: 4096, created: undefined, root: undefined, parent: undefined },
        { id: "m-lora", maxModelLen: undefined, created: 7, root: "/loras/m", parent: "m" },
      ],
      engine: "vllm",
      engineVersion: "0.32",
      maxModelLen: 4096,
      kvCapacityTokens: undefined,
      startedAt: undefined,
      kv: undefined,
    });
  });

  test("SGLang, with the old names of its pages", async () => {
    const pages = {
      "/get_model_info": { model_path: "m" },
      "/get_server_info": { served_model_name: "served", version: "0.5" },
    };
    expect(await ask(pages)).toEqual({
      models: ["served"],
      cards: [],
      engine: "sglang",
      engineVersion: "0.5",
      maxModelLen: undefined,
      kvCapacityTokens: undefined,
      startedAt: undefined,
      kv: undefined,
    });
  });

  test("one that says nothing, or nonsense", async () => {
    expect(await ask({})).toEqual(UNKNOWN_INFO);
    expect(await ask({ "/v1/models": { data: [{ id: 7 }, null, { id: "x".repeat(9999) }] } })).toEqual(UNKNOWN_INFO);
    expect(await ask({}, "fallback")).toEqual({ ...UNKNOWN_INFO, models: ["fallback"] });
  });

  test("a page that is not there says nothing, and one that could not be asked leaves it open", async () => {
    const failure: ProbeFailure = { code: "upstream_timeout", reason: "late" };
    const failed = { kind: "failed", failure } as const;
    expect((await factsAs("regular", {})).missing).toBeUndefined();
    const facts = await factsAs("regular", { "/v1/models": failed, "/version": { version: "0.32" } }, "fallback");
    expect([facts.missing, facts.listing, facts.info.models]).toEqual([failure, undefined, ["fallback"]]);
  });

  test("the listing is another text when models come, go or change, and not when only the time of the answer is", async () => {
    const listing = async (...data: object[]): Promise<string | undefined> =>
      listingOf({ url: "http://w", apiKey: undefined, timeoutMs: 1 }, pagesClient({ "/v1/models": { data } }));
    const base = await listing({ id: "m", created: 1 });
    expect(await listing({ id: "m", created: 2 })).toBe(base);
    expect(await listing({ id: "m" }, { id: "lora" })).not.toBe(base);
    expect(await listing({ id: "m", max_model_len: 5 })).not.toBe(base);
    expect(await listing()).not.toBe(base);
  });

  const vllm = { "/v1/models": { data: [{ id: "m", owned_by: "vllm" }] }, "/version": { version: "0.32" } };

  test("a prefill worker of vLLM says which connector it has, a regular one is not asked", async () => {
    const page = {
      vllm_config: {
        kv_transfer_config: { kv_connector: "NixlConnector", engine_id: "e1", kv_connector_extra_config: {} },
        parallel_config: { data_parallel_size: 2 },
      },
    };
    const pages = { ...vllm, "/server_info?config_format=json": page };
    expect((await askAs("prefill", pages)).kv).toEqual({
      connector: "NixlConnector",
      engineId: "e1",
      bootstrapPort: undefined,
      dataParallelSize: 2,
    });
    expect((await askAs("regular", pages)).kv).toBeUndefined();
    expect((await askAs("decode", vllm)).kv).toBeUndefined();
  });

  test("an engine id that only Mooncake's bootstrap server knows is asked there", async () => {
    const config = {
      kv_connector: "MooncakeConnector",
      kv_connector_extra_config: { mooncake_bootstrap_port: 8998 },
    };
    const pages = {
      ...vllm,
      "/server_info?config_format=json": { vllm_config: { kv_transfer_config: config } },
      "http://w:8998/query": { "0": { engine_id: "e7" } },
    };
    expect((await askAs("prefill", pages)).kv).toMatchObject({ engineId: "e7", bootstrapPort: 8998 });
  });

  test("the worker's key goes to the worker alone, and not to its bootstrap server", async () => {
    const played = pagesClient({
      ...vllm,
      "/server_info?config_format=json": {
        vllm_config: {
          kv_transfer_config: {
            kv_connector: "MooncakeConnector",
            kv_connector_extra_config: { mooncake_bootstrap_port: 8998 },
          },
        },
      },
    });
    const keys = new Map<string, Set<string | undefined>>();
    const client: ProbeClient = {
      ...played,
      page(question) {
        keys.set(question.url, (keys.get(question.url) ?? new Set()).add(question.apiKey?.reveal()));
        return played.page(question);
      },
    };
    const about = { url: "http://w", timeoutMs: 1, workerType: "prefill", modelFallback: undefined } as const;
    await askWorker({ ...about, apiKey: new Secret("hush") }, client);
    expect(keys.get("http://w")).toEqual(new Set(["hush"]));
    expect(keys.get("http://w:8998")).toEqual(new Set([undefined]));
  });

  test("Mooncake's bootstrap port is in the environment that vLLM prints", async () => {
    const vllm_env = { VLLM_MOONCAKE_BOOTSTRAP_PORT: 9001 };
    const kvOf = async (kv_connector: string): Promise<unknown> => {
      const vllm_config = { kv_transfer_config: { kv_connector, engine_id: "e7" } };
      return (await askAs("prefill", { ...vllm, "/server_info?config_format=json": { vllm_config, vllm_env } })).kv;
    };
    expect(await kvOf("MooncakeConnector")).toMatchObject({ engineId: "e7", bootstrapPort: 9001 });
    expect(await kvOf("NixlConnector")).toMatchObject({ engineId: "e7", bootstrapPort: undefined });
  });

  test("the ranks of an engine are as many as it says: SGLang its dp_size, vLLM the engines on its page of metrics", async () => {
    const sglang = async (dp_size: unknown): Promise<unknown> =>
      (await ask({ "/get_model_info": { model_path: "m" }, "/get_server_info": { dp_size } })).dataParallelSize;
    for (const [said, ranks] of [
      [8, 8],
      [0, undefined],
      [-1, undefined],
      ["8", undefined],
      [2.5, undefined],
      [undefined, undefined],
    ]) {
      expect(await sglang(said)).toBe(ranks);
    }
    // With hybrid load balancing a node's engines go on counting from those of the node before it.
    const engines = [4, 5, 6]
      .map((engine) => `vllm:num_requests_running{engine="${engine}",model_name="m"} 0.0\n`)
      .join("");
    const info = async (metrics: string): Promise<unknown> => {
      const client: ProbeClient = { ...pagesClient(vllm), text: async () => metrics };
      const target = {
        url: "http://w",
        apiKey: undefined,
        timeoutMs: 1,
        workerType: "regular",
        modelFallback: undefined,
      } as const;
      return (await askWorker(target, client)).info.dataParallelSize;
    };
    expect([
      await info(engines),
      await info('vllm:num_requests_running{model_name="m"} 0.0\n'),
      await info(""),
    ]).toEqual([3, undefined, undefined]);
  });

  test("a worker of SGLang says its part, its bootstrap port and its ranks", async () => {
    const pages = {
      "/get_model_info": { model_path: "m" },
      "/get_server_info": { disaggregation_mode: "prefill", disaggregation_bootstrap_port: 8997, dp_size: 4 },
    };
    expect((await askAs("prefill", pages)).kv).toEqual({
      connector: "sglang",
      engineId: undefined,
      bootstrapPort: 8997,
      dataParallelSize: 4,
    });
    expect((await ask({ ...pages, "/get_server_info": { disaggregation_mode: "null" } })).kv).toBeUndefined();
  });
});
