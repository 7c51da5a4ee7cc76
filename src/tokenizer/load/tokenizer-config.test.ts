import { describe, expect, test } from "bun:test";
import { readTokenizerConfig } from "./tokenizer-config.ts";

function read(files: Record<string, unknown>) {
  const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
  return readTokenizerConfig(new Map(Object.entries(files).map(([name, value]) => [name, bytes(value)])));
}

describe("the files of a tokenizer say", () => {
  test("nothing where they are not there", () => {
    expect(read({})).toEqual({
      namedTokens: {},
      eosTokenIds: [],
      maxTokens: undefined,
      architectures: [],
      modelType: undefined,
      generationDefaults: {},
      templates: new Map(),
    });
  });

  test("which ids end a generation: the generation's own before the model's", () => {
    expect(
      read({ "config.json": { eos_token_id: 1 }, "generation_config.json": { eos_token_id: [2, 3] } }).eosTokenIds,
    ).toEqual([2, 3]);
    expect(read({ "config.json": { text_config: { eos_token_id: [4, null] } } }).eosTokenIds).toEqual([4]);
  });

  test("which tokens have names, as strings or objects", () => {
    const files = {
      "special_tokens_map.json": { bos_token: { content: "<a>" }, pad_token: "<p>" },
      "tokenizer_config.json": {
        bos_token: "<b>",
        eos_token: { content: "<e>" },
        extra_special_tokens: { image_token: "<i>" },
      },
    };
    expect(read(files).namedTokens).toEqual({
      bos_token: "<b>",
      pad_token: "<p>",
      eos_token: "<e>",
      image_token: "<i>",
    });
  });

  test("how long a sequence may be, where it is known", () => {
    expect(read({ "tokenizer_config.json": { model_max_length: 1e30 } }).maxTokens).toBeUndefined();
    expect(read({ "tokenizer_config.json": { model_max_length: 4096 } }).maxTokens).toBe(4096);
    expect(read({ "config.json": { text_config: { max_position_embeddings: 8 } } }).maxTokens).toBe(8);
  });

  test("how to sample", () => {
    const generation = { temperature: 0.6, top_k: 20, top_p: "no", max_length: 3 };
    expect(read({ "generation_config.json": generation }).generationDefaults).toEqual({ temperature: 0.6, top_k: 20 });
    expect(read({ "generation_config.json": { ...generation, do_sample: false } }).generationDefaults.temperature).toBe(
      0,
    );
  });

  test("the chat templates, of which a file of its own comes first", () => {
    const named = [
      { name: "default", template: "d" },
      { name: "tool_use", template: "t" },
    ];
    const files = { "tokenizer_config.json": { chat_template: named }, "chat_template.json": { chat_template: "j" } };
    expect([...read(files).templates]).toEqual([
      ["default", "j"],
      ["tool_use", "t"],
    ]);
    expect(read({ ...files, "chat_template.jinja": "own" }).templates.get("default")).toBe("own");
  });

  test("or are refused by name", () => {
    expect(() => read({ "config.json": "{" })).toThrow("config.json is not JSON");
    expect(() => read({ "config.json": [] })).toThrow("config.json is not an object");
  });
});
