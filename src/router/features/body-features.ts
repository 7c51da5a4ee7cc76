import { BYTES_PER_TOKEN, type RequestFeatures } from "../../policy/policy.ts";
import { hashPrompt, NO_PROMPT, type PromptBlocks, SMALLEST_BLOCK_BYTES } from "../../policy/prefix-blocks.ts";
import { readsNoCache } from "../../protocol/cache-use.ts";
import type { JsonBody } from "../../protocol/json/json-body.ts";
import { type Blob, blobsIn, savedBytes } from "../../protocol/media-blobs.ts";
import { longestPrompt, promptOf, type PromptForm } from "../../protocol/prompt.ts";
import { promptKeys } from "../../protocol/prompt-key.ts";
import { readRoutingKey } from "../../protocol/routing-key.ts";
import type { HeaderReader } from "../../util/header-reader.ts";

/** The parts of a request that its features are read from. */
export interface BodyFeaturesSource {
  /** The client's name for the model; empty where it named none. */
  readonly model: string;
  readonly isStream: boolean;
  readonly body: JsonBody;
  /** Which members of the body make the prompt. */
  readonly form: PromptForm;
  readonly headers: HeaderReader;
  /** Names of the headers that may have the routing key, in lower case; the first that is there counts. */
  readonly sessionHeaders: readonly string[];
}

/** Features of a request whose prompt is the client's bytes. Its length is estimated; nothing is decoded. */
export class BodyFeatures implements RequestFeatures {
  readonly model: string;
  readonly isStream: boolean;
  readonly isTokenized = false;
  readonly promptTokens: number;
  readonly #source: BodyFeaturesSource;
  readonly #blobs: readonly Blob[];
  /** Most bytes of the prompt; -1 while nobody has asked. */
  #longest = -1;
  #promptBytes: Uint8Array | undefined;
  #promptBlocks: PromptBlocks | undefined;
  /** null while nobody has asked. */
  #routingKey: string | undefined | null = null;

  constructor(source: BodyFeaturesSource) {
    const { bytes } = source.body;
    this.model = source.model;
    this.isStream = source.isStream;
    this.#source = source;
    this.#blobs = blobsIn(bytes);
    this.promptTokens = Math.ceil((bytes.length - savedBytes(this.#blobs)) / BYTES_PER_TOKEN);
  }

  promptBytes(): Uint8Array {
    const { body, form } = this.#source;
    this.#promptBytes ??= promptOf(body, form, this.#blobs);
    return this.#promptBytes;
  }

  promptBlocks(): PromptBlocks {
    this.#promptBlocks ??= this.#makeBlocks();
    return this.#promptBlocks;
  }

  hasPrompt(): boolean {
    return this.#mostBytes() > 0;
  }

  /** A prompt that is shorter than any block is not looked at, nor one that the engine computes anew whatever it has cached. */
  #makeBlocks(): PromptBlocks {
    const most = this.#mostBytes();
    if (most < SMALLEST_BLOCK_BYTES || readsNoCache(this.#source.body))
      return { hashes: NO_PROMPT.hashes, bytes: most };
    return hashPrompt(this.promptBytes(), promptKeys(this.#source.body, this.model).ofText);
  }

  #mostBytes(): number {
    if (this.#longest < 0) this.#longest = longestPrompt(this.#source.body, this.#source.form);
    return this.#longest;
  }

  routingKey(): string | undefined {
    if (this.#routingKey === null) {
      const { headers, body, sessionHeaders } = this.#source;
      this.#routingKey = readRoutingKey(headers, body, sessionHeaders);
    }
    return this.#routingKey;
  }
}
