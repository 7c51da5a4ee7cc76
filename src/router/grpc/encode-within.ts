import { clientClosed, GatewayError } from "../../errors/errors.ts";
import type { EncodeOptions, MaybePromise } from "../../tokenizer/tokenizer.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";
import { nextTurn } from "../../util/next-turn.ts";
import type { ModelText } from "./model-text.ts";

/** Texts up to this length are encoded at once, UTF-16 units. */
const SHORT_CHARS = 65_536;
/** Text that is counted before other requests get a turn, UTF-16 units; a single word of this length takes 15 ms. */
const SLICE_CHARS = 32_768;
/** Approximate characters of a token. If a text is longer than the model's length times this, its tokens are counted first. */
const CHARS_A_TOKEN = 4;
/** Tokens that a slice may have more than the same text within the whole. */
const SLACK = 16;
/** Most tokens where the model's length is unknown. */
const MOST_TOKENS = 4_194_304;

/** Bounds of a text that is encoded. */
export interface EncodeBounds {
  /** Longest sequence of the model, tokens; undefined where it is unknown. */
  readonly maxModelLen: number | undefined;
  /** The member of the client's request that has the text. */
  readonly param: string;
  readonly signal: LeaveSignal;
}

/**
 * Encodes a text that must be shorter than `maxModelLen` tokens. A longer text is refused by its length, or as soon as that many
 * tokens have been counted: encoding a whole text of 60 MB takes minutes and gigabytes. Throws invalid_request, and
 * client_closed when the client leaves.
 */
export function encodeWithin(
  text: string,
  model: Pick<ModelText, "tokenizer" | "encoder">,
  options: EncodeOptions,
  bounds: EncodeBounds,
): MaybePromise<Uint32Array> {
  if (text.length <= SHORT_CHARS) return model.encoder.encode(text, options);
  return encodeLong(text, model, options, bounds);
}

async function encodeLong(
  text: string,
  { tokenizer, encoder }: Pick<ModelText, "tokenizer" | "encoder">,
  options: EncodeOptions,
  { maxModelLen = MOST_TOKENS, param, signal }: EncodeBounds,
): Promise<Uint32Array> {
  const most = Math.min(maxModelLen, MOST_TOKENS);
  if (text.length / tokenizer.longestToken >= most) throw tooLong(`more than ${most}`, most, param);
  if (text.length > most * CHARS_A_TOKEN) {
    let count = 0;
    for (let from = 0; from < text.length; from += SLICE_CHARS) {
      const ids = await tokenizer.encode(text.slice(from, from + SLICE_CHARS), { addSpecialTokens: false });
      count += Math.max(0, ids.length - SLACK);
      if (count >= most) throw tooLong(`more than ${most}`, most, param);
      await nextTurn();
      if (signal.aborted) throw clientClosed(signal.reason);
    }
  }
  return encoder.encode(text, options, signal);
}

/** The error for a prompt of this many tokens, which leaves no room for an answer. */
export function tooLong(tokens: number | string, maxModelLen: number, param: string): GatewayError {
  return new GatewayError(
    "invalid_request",
    `the prompt is ${tokens} tokens long, and this model takes ${maxModelLen} with its answer`,
    { param, workerCode: "context_length_exceeded" },
  );
}
