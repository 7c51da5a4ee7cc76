import type { RequestFeatures } from "../../policy/policy.ts";
import { hashPrompt, type PromptBlocks } from "../../policy/prefix-blocks.ts";

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
  readonly #body: RequestFeatures;
  #promptBlocks: PromptBlocks | undefined;

  constructor(prompts: readonly TokenPrompt[], body: RequestFeatures) {
    this.model = body.model;
    this.isStream = body.isStream;
    this.#prompts = prompts;
    this.#body = body;
    this.promptTokens = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  /** For a batch, the bytes of its first prompt, because the whole batch goes to one worker. */
  promptBytes(): Uint8Array {
    const ids = this.#prompts[0]?.ids;
    return ids ? new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength) : new Uint8Array(0);
  }

  promptBlocks(): PromptBlocks {
    this.#promptBlocks ??= hashPrompt(this.promptBytes());
    return this.#promptBlocks;
  }

  routingKey(): string | undefined {
    return this.#body.routingKey();
  }
}
