import { answerTokens, naturalLength } from "../../../src/engine-sim/text.ts";
import type { SimTokenizer } from "./tokenizer.ts";

export interface SequenceRequest {
  readonly promptIds: readonly number[];
  /** Most tokens of the answer; without it the answer ends by itself. */
  readonly limit: number | undefined;
  readonly minTokens: number;
  readonly stopTokenIds: readonly number[];
  /** Empty where the engine has no text to look into. */
  readonly stopTexts: readonly string[];
  readonly ignoreEos: boolean;
  readonly seed: number | undefined;
  /** Which of the `n` answers. */
  readonly choice: number;
}

/** An answer before it is given out. */
export interface Sequence {
  readonly ids: readonly number[];
  readonly finishReason: "stop" | "length";
  readonly matchedToken: number | undefined;
  readonly matchedText: string | undefined;
}

/** What is said in place of the answer that follows from the prompt. */
export type Answer = (prompt: { readonly text: string; readonly ids: readonly number[] }) => string | undefined;

/** The answer to a prompt: a function of its text, of the seed where there is one, and of the choice. */
export function planSequence(request: SequenceRequest, tokenizer: SimTokenizer, answer: Answer | undefined): Sequence {
  const whole = wholeAnswer(request, tokenizer, answer);
  let ids = request.limit === undefined ? whole : whole.slice(0, request.limit);
  const stopped = firstStop(ids, request, tokenizer);
  if (stopped) ids = ids.slice(0, stopped.length);
  return {
    ids,
    finishReason: stopped ? "stop" : "length",
    matchedToken: stopped?.token,
    matchedText: stopped?.text,
  };
}

function wholeAnswer(request: SequenceRequest, tokenizer: SimTokenizer, answer: Answer | undefined): number[] {
  const { promptIds, seed, choice, ignoreEos, minTokens, limit } = request;
  const text = tokenizer.decode(promptIds);
  const given = answer?.({ text, ids: promptIds });
  if (given !== undefined) return [...tokenizer.encode(given), tokenizer.eosId];
  const variant = choice === 0 && seed === undefined ? "" : `#${seed ?? 0}/${choice}`;
  const prompt = Buffer.from(text + variant);
  const natural = naturalLength(prompt);
  // A word is a token at least.
  const words = ignoreEos ? (limit ?? natural) : Math.max(natural, minTokens);
  const ids = tokenizer.encode(answerTokens(prompt, words).join(""));
  return ignoreEos ? ids : [...ids, tokenizer.eosId];
}

interface Stop {
  /** Tokens up to and with the one that ends the answer. */
  readonly length: number;
  readonly token: number | undefined;
  readonly text: string | undefined;
}

function firstStop(ids: readonly number[], request: SequenceRequest, tokenizer: SimTokenizer): Stop | undefined {
  const tokens = new Set(request.stopTokenIds);
  const texts = request.stopTexts.filter((text) => text !== "");
  for (let length = Math.max(1, request.minTokens); length <= ids.length; length += 1) {
    const id = ids[length - 1] ?? -1;
    if (id === tokenizer.eosId && !request.ignoreEos) return { length, token: undefined, text: undefined };
    if (tokens.has(id)) return { length, token: id, text: undefined };
    if (texts.length === 0) continue;
    const said = tokenizer.decode(ids.slice(0, length));
    const text = texts.find((stop) => said.includes(stop));
    if (text !== undefined) return { length, token: undefined, text };
  }
  return undefined;
}

/** A made-up log probability of a token: a function of its id. */
export function logprobOf(id: number): number {
  return -((id % 97) + 1) / 100;
}

/** The token itself and the ids after it, as the most likely ones. */
export function topLogprobs(id: number, count: number): { values: number[]; tokenIds: number[] } {
  const tokenIds = Array.from({ length: count }, (_, index) => id + index);
  return { values: tokenIds.map((top) => logprobOf(id) - (top - id)), tokenIds };
}
