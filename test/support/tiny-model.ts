import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SimTokenizer } from "../engines/grpc/tokenizer.ts";
import { CHAR_OF_BYTE } from "../../src/tokenizer/bpe/byte-alphabet.ts";
import { loadTokenizer } from "../../src/tokenizer/load/load-tokenizer.ts";

/** A name from which the gateway knows how the model writes calls and reasoning. */
export const TINY_MODEL = "tiny-qwen3";

/** Tokens of two and three letters, so that stop strings begin and end within tokens; all else is a token a byte. */
const MERGES = ["h e", "t he", "i n", "a n", "an d", "o n", "r e", "e r", "Ġ the", "Ġ a", "s t", "o p", "st op"];
const SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
/** Added, and text all the same. */
const MARKS = ["<tool_call>", "</tool_call>", "<think>", "</think>"];

/** ChatML, with tools before the conversation. */
const CHAT_TEMPLATE = `{%- if messages[0].role == 'tool' %}{{ raise_exception('a tool does not speak first') }}{% endif %}
{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}
<|im_start|>{{ message.role }}
{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

export interface TinyModel {
  /** Folder with the files of its tokenizer. */
  readonly path: string;
  readonly tokenizer: SimTokenizer;
  /** The first number that is no token. */
  readonly vocabSize: number;
}

/** A byte-level tokenizer of some 280 tokens in a folder of its own; `null` leaves the chat template out. */
export async function writeTinyModel(chatTemplate: string | null = CHAT_TEMPLATE): Promise<TinyModel> {
  const path = mkdtempSync(join(tmpdir(), "pointsman-tiny-"));
  const tokens = [...CHAR_OF_BYTE].map((code) => String.fromCharCode(code));
  tokens.push(...MERGES.map((merge) => merge.replace(" ", "")));
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const firstAdded = tokens.length;
  const added = [...SPECIAL, ...MARKS].map((content, at) => addedToken(content, firstAdded + at));
  writeFileSync(join(path, "tokenizer.json"), JSON.stringify(tokenizerJson(vocab, added)));
  writeFileSync(
    join(path, "tokenizer_config.json"),
    JSON.stringify({
      tokenizer_class: "Qwen2Tokenizer",
      eos_token: "<|im_end|>",
      pad_token: "<|endoftext|>",
      ...(chatTemplate === null ? {} : { chat_template: chatTemplate }),
    }),
  );
  return { path, tokenizer: await simTokenizer(path), vocabSize: firstAdded + added.length };
}

function addedToken(content: string, id: number): object {
  const special = SPECIAL.includes(content);
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

function tokenizerJson(vocab: Readonly<Record<string, number>>, added: readonly object[]): object {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges: MERGES,
    },
  };
}

/** The same tokenizer for a simulated engine, which does not wait for it. */
async function simTokenizer(path: string): Promise<SimTokenizer> {
  const tokenizer = await loadTokenizer(path);
  const atOnce = <T>(value: T | Promise<T>): T => {
    if (value instanceof Promise) throw new Error("the tiny tokenizer was not at once");
    return value;
  };
  return {
    encode: (text) => [...atOnce(tokenizer.encode(text, { addSpecialTokens: false }))],
    decode: (ids) => atOnce(tokenizer.decode(ids, { skipSpecialTokens: false })),
    eosId: tokenizer.eosTokenIds[0] ?? -1,
  };
}
