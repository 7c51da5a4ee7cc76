import type { Picked, RequestFeatures } from "../policy/policy.ts";
import type { PromptBlocks } from "../policy/prefix-blocks.ts";
import type { Lease } from "../worker/load-ledger.ts";
import type { EngineRequest } from "./engine-sequence.ts";
import type { Prompt, Session } from "./loads/load.ts";
import type { Texts } from "./loads/texts.ts";
import { seededRandom } from "./seeded-random.ts";

/** The model that all simulated workers serve. */
export const MODEL = "simulated";
/** Bytes that the gateway takes for a token where nobody has counted. */
const USUAL_BYTES_PER_TOKEN = 4;

/** What a policy sees of a simulated request: what the gateway would read of an HTTP request with this prompt. */
export class SimFeatures implements RequestFeatures {
  readonly model = MODEL;
  readonly isStream: boolean;
  readonly isTokenized = false;
  readonly promptTokens: number;
  readonly #prompt: Prompt;
  readonly #key: string;
  readonly #texts: Texts;
  #bytes: Uint8Array | undefined;
  #blocks: PromptBlocks | undefined;

  constructor(prompt: Prompt, key: number, isStream: boolean, texts: Texts) {
    this.isStream = isStream;
    this.promptTokens = Math.ceil((prompt.tokens * prompt.bytesPerToken) / USUAL_BYTES_PER_TOKEN);
    this.#prompt = prompt;
    this.#key = `session-${key}`;
    this.#texts = texts;
  }

  /** Made only where a policy asks for bytes; most ask for blocks. */
  promptBytes(): Uint8Array {
    this.#bytes ??= bytesOf(this.#prompt);
    return this.#bytes;
  }

  hasPrompt(): boolean {
    return this.#prompt.tokens > 0;
  }

  promptBlocks(): PromptBlocks {
    this.#blocks ??= this.#texts.promptBlocksOf(this.#prompt);
    return this.#blocks;
  }

  routingKey(): string {
    return this.#key;
  }
}

/** Equal segments give equal bytes, different ones different bytes. */
function bytesOf({ segments, tokens, bytesPerToken }: Prompt): Uint8Array {
  const bytes = new Uint8Array(Math.floor(tokens * bytesPerToken));
  let end = 0;
  let at = 0;
  for (const segment of segments) {
    const random = seededRandom(segment.id);
    end += segment.tokens * bytesPerToken;
    for (; at < end && at < bytes.length; at += 1) bytes[at] = random() * 256;
  }
  return bytes;
}

/** What a request has at one worker. */
export interface SimLeg {
  readonly worker: number;
  readonly picked: Picked | undefined;
  readonly lease: Lease;
  readonly chargedAt: number;
}

/** One attempt of a request: at the worker that answers and, for a pair, first at the one that prefills. */
export interface SimAttempt {
  readonly answer: SimLeg;
  /** The leg that prefills, until it is over. */
  prefill: SimLeg | undefined;
}

/** A request on its way through a gateway. */
export interface SimRequest {
  /** Its row in the records, which is its tag at engines too. */
  readonly row: number;
  readonly session: Session;
  /** Its place among the turns of the session. */
  readonly turnIndex: number;
  readonly features: SimFeatures;
  readonly engineRequest: EngineRequest;
  /** Workers that it was lost at. */
  readonly lost: Set<number>;
  attempt: SimAttempt | undefined;
}
