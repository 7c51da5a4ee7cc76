import type { RequestFeatures } from "../../policy/policy.ts";
import { hashPrompt, type PromptBlocks } from "../../policy/prefix-blocks.ts";
import type { JsonBody } from "../../protocol/json/json-body.ts";
import { promptOf } from "../../protocol/prompt.ts";
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
  /** Members of the body that make the prompt, in the order in which chat templates render them. */
  readonly promptMembers: readonly string[];
  readonly headers: HeaderReader;
}

/** Features of a request whose prompt is the client's bytes. Its length is estimated; nothing is decoded. */
export class BodyFeatures implements RequestFeatures {
  readonly model: string;
  readonly isStream: boolean;
  readonly isTokenized = false;
  readonly promptTokens: number;
  readonly #source: BodyFeaturesSource;
  #promptBytes: Uint8Array | undefined;
  #promptBlocks: PromptBlocks | undefined;

  constructor(source: BodyFeaturesSource) {
    this.model = source.model;
    this.isStream = source.isStream;
    this.promptTokens = Math.ceil(source.body.bytes.length / BYTES_PER_TOKEN);
    this.#source = source;
  }

  promptBytes(): Uint8Array {
    this.#promptBytes ??= promptOf(this.#source.body, this.#source.promptMembers);
    return this.#promptBytes;
  }

  promptBlocks(): PromptBlocks {
    this.#promptBlocks ??= hashPrompt(this.promptBytes());
    return this.#promptBlocks;
  }

  routingKey(): string | undefined {
    return readRoutingKey(this.#source.headers, this.#source.body);
  }
}
