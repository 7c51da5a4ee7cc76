import { describe, expect, test } from "bun:test";
import { askWorker } from "./worker-probe.ts";

describe("asking a worker what it is", () => {
  const ask = (pages: Record<string, unknown>, modelFallback?: string): Promise<unknown> =>
    askWorker(
      { url: "http://w", apiKey: undefined, timeoutMs: 1, modelFallback },
      async (url) => pages[url.slice("http://w".length)],
    );

  test("vLLM", async () => {
    const models = {
      data: [
        { id: "m", owned_by: "vllm", max_model_len: 4096 },
        { id: "m-lora", owned_by: "vllm" },
      ],
    };
    expect(await ask({ "/v1/models": models, "/version": { version: "0.32" } })).toEqual({
      models: ["m", "m-lora"],
      engine: "vllm",
      engineVersion: "0.32",
      maxModelLen: 4096,
    });
  });

  test("SGLang, with the old names of its pages", async () => {
    const pages = {
      "/get_model_info": { model_path: "m" },
      "/get_server_info": { served_model_name: "served", version: "0.5" },
    };
    expect(await ask(pages)).toEqual({
      models: ["served"],
      engine: "sglang",
      engineVersion: "0.5",
      maxModelLen: undefined,
    });
  });

  test("one that says nothing, or nonsense", async () => {
    const nothing = { models: [], engine: undefined, engineVersion: undefined, maxModelLen: undefined };
    expect(await ask({})).toEqual(nothing);
    expect(await ask({ "/v1/models": { data: [{ id: 7 }, null, { id: "x".repeat(9999) }] } })).toEqual(nothing);
    expect(await ask({}, "fallback")).toEqual({ ...nothing, models: ["fallback"] });
  });
});
