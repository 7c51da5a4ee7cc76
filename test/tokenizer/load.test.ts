/** Loading from a folder and from what workers send, with a tokenizer made here. */
import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failureOf } from "../support/failure-of.ts";
import { CHAR_OF_BYTE } from "../../src/tokenizer/bpe/byte-alphabet.ts";
import { loadTokenizer, loadTokenizerFiles } from "../../src/tokenizer/load/load-tokenizer.ts";
import { PrefixCache } from "../../src/tokenizer/prefix-cache.ts";
import { TokenizerRegistry } from "../../src/tokenizer/tokenizer-registry.ts";

const vocab = Object.fromEntries(Array.from(CHAR_OF_BYTE, (char, byte) => [String.fromCharCode(char), byte]));
const token = { single_word: false, lstrip: false, rstrip: false, normalized: false };
const json = {
  version: "1.0",
  added_tokens: [
    { ...token, id: 258, content: "<|end|>", special: true },
    { ...token, id: 259, content: "<tool>", special: false },
  ],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: { type: "BPE", vocab: { ...vocab, ab: 256, Ġab: 257 }, merges: ["a b", "Ġ ab"] },
};

const folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
afterAll(() => rm(folder, { recursive: true }));
const write = (name: string, value: unknown) => Bun.write(join(folder, name), JSON.stringify(value));
await write("tokenizer.json", json);
await write("tokenizer_config.json", { eos_token: "<|end|>", chat_template: "old" });
await write("config.json", { architectures: ["LlamaForCausalLM"], model_type: "llama", max_position_embeddings: 64 });
await write("generation_config.json", { temperature: 0.7 });
await Bun.write(
  join(folder, "chat_template.jinja"),
  "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}",
);

test("a folder, or the file in it, makes a tokenizer with all that its files say", async () => {
  for (const path of [folder, join(folder, "tokenizer.json")]) {
    using tokenizer = await loadTokenizer(path);
    expect(tokenizer).toMatchObject({
      vocabSize: 260,
      eosToken: "<|end|>",
      eosTokenIds: [258],
      maxTokens: 64,
      architectures: ["LlamaForCausalLM"],
      modelType: "llama",
      generationDefaults: { temperature: 0.7 },
      engine: { name: "byte-level-bpe" },
    });
    const { text } = tokenizer.chatTemplates
      .get()
      .render({ messages: [{ role: "user", content: "ab ab" }], addGenerationPrompt: true });
    const ids = await tokenizer.encode(text, { addSpecialTokens: false });
    expect([...ids]).toEqual([256, 257, 258]);
    expect(await tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("ab ab");
    expect([tokenizer.isSpecial(258), tokenizer.isSpecial(259), tokenizer.idOf("<tool>")]).toEqual([true, false, 259]);
  }
});

test("a text too long for the thread that serves is encoded on the other, for the same ids", async () => {
  using tokenizer = await loadTokenizer(folder);
  const long = "ab ".repeat(50_000);
  const encoding = tokenizer.encode(long, { addSpecialTokens: false });
  expect(encoding).toBeInstanceOf(Promise);
  const ids = await encoding;
  const half = await tokenizer.encode("ab ".repeat(20_000), { addSpecialTokens: false });
  expect([...ids.subarray(0, 20_000)]).toEqual([...half.subarray(0, 20_000)]);
  expect(await tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(long);
});

test("a text is not cut where its first part is treated in a way of its own", async () => {
  const scheme = { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false };
  const vocab = [
    ["<unk>", 0],
    ["▁a", -1],
    ["a", -2],
    ["▁", -3],
  ];
  const metaspace = {
    ...json,
    added_tokens: [{ ...token, id: 4, content: "<|end|>", special: true }],
    pre_tokenizer: scheme,
    decoder: scheme,
    model: { type: "Unigram", unk_id: 0, vocab },
  };
  const bytes = new TextEncoder().encode(JSON.stringify(metaspace));
  using tokenizer = await loadTokenizerFiles(new Map([["tokenizer.json", bytes]]));
  expect(tokenizer).toMatchObject({ isSplitExact: false, engine: { name: "native", reason: "the model is not BPE" } });
  const text = `a${" a".repeat(200)}<|end|>a`;
  const ids = await tokenizer.encode(text, { addSpecialTokens: false });
  expect([...ids.subarray(-2)]).toEqual([4, 2]);
  expect(await new PrefixCache(tokenizer, 1e6).encode(text, { addSpecialTokens: false })).toEqual(ids);
  expect(await tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text);
});

test("what is no tokenizer is refused with a reason", async () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const refused = { code: "invalid_request", details: { param: "source" } };
  expect(await failureOf(loadTokenizer(join(folder, "nowhere")))).toMatchObject(refused);
  expect(await failureOf(loadTokenizerFiles(new Map()))).toMatchObject(refused);
  for (const text of ["", "{}", "[1]", '{"model": {"type": "BPE"}}']) {
    expect(await failureOf(loadTokenizerFiles(new Map([["tokenizer.json", bytes(text)]])))).toMatchObject(refused);
  }
});

test("a tokenizer that is disposed of rejects what it was still to encode", async () => {
  const tokenizer = await loadTokenizer(folder);
  const encoding = Promise.resolve(tokenizer.encode("ab ".repeat(50_000), { addSpecialTokens: false }));
  tokenizer[Symbol.dispose]();
  expect(await failureOf(encoding)).toMatchObject({ code: "internal_error" });
  expect(
    await failureOf(Promise.resolve(tokenizer.encode("a".repeat(100_000), { addSpecialTokens: false }))),
  ).toHaveProperty("message", expect.stringContaining("removed"));
});

test("the registry loads from a path and from files", async () => {
  using registry = new TokenizerRegistry();
  registry.add("a", { path: folder });
  registry.add("b", {
    files: new Map([["tokenizer.json", new TextEncoder().encode(JSON.stringify(json))]]),
    key: "sha",
  });
  registry.add("c", { path: join(folder, "nowhere") });
  await Promise.allSettled(["a", "b", "c"].map((name) => registry.whenLoaded(name)));
  expect(registry.list().map(({ status, vocabSize }) => [status, vocabSize])).toEqual([
    ["completed", 260],
    ["completed", 260],
    ["failed", undefined],
  ]);
});
