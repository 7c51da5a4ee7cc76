import type { RequestFeatures } from "../../policy/policy.ts";
import { hashPrompt, NO_PROMPT, type PromptBlocks } from "../../policy/prefix-blocks.ts";
import { readsNoCache } from "../../protocol/cache-use.ts";
import type { JsonBody } from "../../protocol/json/json-body.ts";
import { promptKeys } from "../../protocol/prompt-key.ts";

/** A prompt as token ids. */
interface TokenPrompt {
  readonly ids: Uint32Array;
}

/** Features of a request whose prompt is tokens: exact length, and blocks of token ids for the prefix index. */
export class TokenFeatures implements RequestFeatures {
  readonly model: string;
  readonly isStream: boolean;
  readonly isTokenized = true;
  readonly promptTokens: number;
  readonly #prompts: readonly TokenPrompt[];
  readonly #features: RequestFeatures;
  readonly #body: JsonBody;
  #promptBlocks: PromptBlocks | undefined;

  /** `features` and `body` are those of the request before it became tokens. */
  constructor(prompts: readonly TokenPrompt[], features: RequestFeatures, body: JsonBody) {
    this.model = features.model;
    this.isStream = features.isStream;
    this.#prompts = prompts;
    this.#features = features;
    this.#body = body;
    this.promptTokens = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  /** For a batch, the bytes of its first prompt, because the whole batch goes to one worker. */
  promptBytes(): Uint8Array {
    const ids = this.#prompts[0]?.ids;
    return ids ? new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength) : new Uint8Array(0);
  }

  hasPrompt(): boolean {
    return (this.#prompts[0]?.ids.length ?? 0) > 0;
  }

  promptBlocks(): PromptBlocks {
    this.#promptBlocks ??= this.#makeBlocks();
    return this.#promptBlocks;
  }

  /** A prompt that the engine computes anew whatever it has cached is not looked at. */
  #makeBlocks(): PromptBlocks {
    const bytes = this.promptBytes();
    if (readsNoCache(this.#body)) return { hashes: NO_PROMPT.hashes, bytes: bytes.length };
    return hashPrompt(bytes, promptKeys(this.#body, this.model).ofTokens);
  }

  routingKey(): string | undefined {
    return this.#features.routingKey();
  }
}
