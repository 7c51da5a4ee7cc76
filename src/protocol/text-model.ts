import { GatewayError } from "../errors/errors.ts";
import type { ChatPrompt } from "./generation.ts";

/** What routes need of a model that the gateway's own tokenizer answers instead of a worker. */
export interface TextModel {
  /** Longest sequence that the model takes, tokens; 0 where neither a worker nor the tokenizer says it. */
  readonly maxModelLen: number;
  /** The conversation as the model's chat template writes it. Throws invalid_request with what the template says. */
  renderChat(chat: ChatPrompt): string;
  /** Token ids of a text. Rejects with client_closed where the client has left. */
  encode(text: string, addSpecialTokens: boolean): Promise<Uint32Array>;
  /** Rejects with invalid_request where an id is no token of the model. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string>;
  /** The token as the vocabulary writes it, `Ġhello`; undefined where the model has none of this id. */
  tokenOf(id: number): string | undefined;
}

/** More than any model takes; each million characters takes some seconds and 200 MB. */
const MAX_CHARS = 4 * 1024 * 1024;

/** Throws invalid_request where a body has more text than is encoded for one request. */
export function checkChars(chars: number): void {
  if (chars <= MAX_CHARS) return;
  throw new GatewayError("invalid_request", `the text is longer than ${MAX_CHARS} characters`, { param: "prompt" });
}
