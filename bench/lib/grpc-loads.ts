import { ChatTemplates } from "../../src/tokenizer/chat-templates.ts";
import { ModelTokenizer } from "../../src/tokenizer/load/model-tokenizer.ts";
import { readTokenizerConfig } from "../../src/tokenizer/load/tokenizer-config.ts";
import { readTokenizerFiles } from "../../src/tokenizer/load/tokenizer-files.ts";
import { TokenizerThread } from "../../src/tokenizer/load/tokenizer-thread.ts";
import type { Load } from "./load.ts";
import { chatBytes, smallChat } from "./payloads.ts";
import { prose } from "./prose.ts";

const PROMPT_TOKENS = 4000;
export const LONG_TURNS = 13;
/** Of an answer, after which it says the same again. */
const WORDS_CHARS = 2000;
const SAMPLE_CHARS = 18_000;

/** What is sent to gateways with gRPC workers, in sizes of a model's tokens. */
export class GrpcLoads {
  readonly tokenizerDir: string;
  /** Tokens of text that an engine says. */
  readonly words: readonly number[];
  /** Of a long prompt, about. */
  readonly promptTokens: number;
  readonly #promptChars: number;

  /** Reads the tokenizer of a folder. */
  static async of(tokenizerDir: string): Promise<GrpcLoads> {
    const files = await readTokenizerFiles(tokenizerDir);
    using thread = new TokenizerThread();
    const tables = await thread.load(files.get("tokenizer.json") ?? new Uint8Array());
    const config = readTokenizerConfig(files);
    using tokenizer = new ModelTokenizer({
      config,
      chatTemplates: new ChatTemplates(new Map(), {}),
      tables,
      thread,
    });
    const encode = async (text: string): Promise<readonly number[]> =>
      Array.from(await tokenizer.encode(text, { addSpecialTokens: false }));
    const sample = await encode(prose(SAMPLE_CHARS, 1));
    const chars = Math.round((SAMPLE_CHARS * PROMPT_TOKENS) / sample.length);
    const prompt = await encode(prose(chars, 2));
    return new GrpcLoads(tokenizerDir, await encode(prose(WORDS_CHARS, 3)), prompt.length, chars);
  }

  constructor(tokenizerDir: string, words: readonly number[], promptTokens: number, promptChars: number) {
    this.tokenizerDir = tokenizerDir;
    this.words = words;
    this.promptTokens = promptTokens;
    this.#promptChars = promptChars;
  }

  streams(tokens: number, intervalMs: number): Load {
    const body = { stream: true, max_tokens: tokens, ...(intervalMs > 0 ? { top_k: intervalMs } : {}) };
    // The role, the finish reason and the end marker are events too.
    return { requests: [chatBytes({ ...body, messages: [user("Tell me a story.")] })], events: tokens + 3 };
  }

  /** Others in each round. */
  prompts(count: number, round: number): Load {
    const requests = Array.from({ length: count }, (_, at) =>
      chatBytes({ max_tokens: 1, messages: [user(prose(this.#promptChars, round * count + at + 10))] }),
    );
    return { requests, events: 0 };
  }

  /** Others in each round; with more turns they go on as they began. An odd number of them; `LONG_TURNS` are a long prompt. */
  conversations(count: number, round: number, turns: number): Load {
    const requests = Array.from({ length: count }, (_, at) => {
      const seed = (1_000_000 + round * count + at) * LONG_TURNS;
      const messages = Array.from({ length: turns }, (_, turn) => {
        const text = prose(this.#promptChars / LONG_TURNS, seed + turn);
        return turn % 2 === 1 ? { role: "assistant", content: text } : user(text);
      });
      return chatBytes({ max_tokens: 1, messages });
    });
    return { requests, events: 0 };
  }

  small(): Load {
    return smallChat();
  }
}

function user(content: string): object {
  return { role: "user", content };
}
