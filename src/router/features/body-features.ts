import type { RequestFeatures } from "../../policy/policy.ts";
import { hashPrompt, type PromptBlocks } from "../../policy/prefix-blocks.ts";
import type { JsonBody } from "../../protocol/json/json-body.ts";
import { type Blob, blobsIn, savedBytes } from "../../protocol/media-blobs.ts";
import { promptOf, type PromptForm } from "../../protocol/prompt.ts";
import { promptKeys } from "../../protocol/prompt-key.ts";
import { readRoutingKey } from "../../protocol/routing-key.ts";
import type { HeaderReader } from "../../util/header-reader.ts";

/** Bytes of a body that make about one token. */
const BYTES_PER_TOKEN = 4;

/** The parts of a request that its features are read from. */
export interface BodyFeaturesSource {
  /** The client's name for the model; empty where it named none. */
  readonly model: string;
  readonly isStream: boolean;
  readonly body: JsonBody;
  /** Which members of the body make the prompt. */
  readonly form: PromptForm;
  readonly headers: HeaderReader;
}

/** Features of a request whose prompt is the client's bytes. Its length is estimated; nothing is decoded. */
export class BodyFeatures implements RequestFeatures {
  readonly model: string;
  readonly isStream: boolean;
  readonly isTokenized = false;
  readonly promptTokens: number;
  readonly #source: BodyFeaturesSource;
  readonly #blobs: readonly Blob[];
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
    this.#promptBlocks ??= hashPrompt(this.promptBytes(), promptKeys(this.#source.body, this.model).ofText);
    return this.#promptBlocks;
  }

  routingKey(): string | undefined {
    if (this.#routingKey === null) this.#routingKey = readRoutingKey(this.#source.headers, this.#source.body);
    return this.#routingKey;
  }
}
