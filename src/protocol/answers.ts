import { GatewayError } from "../errors/errors.ts";
import type { AnswerPart, OutputPiece, TextLogprob, TokenCount } from "./generation.ts";

/** Pieces of an answer that stand together and are of one kind, joined. */
export type AnswerBlock = { readonly kind: "content" | "reasoning"; text: string } | CallBlock;

export interface CallBlock {
  readonly kind: "tool_call";
  readonly index: number;
  readonly id: string;
  readonly name: string;
  /** The JSON text that the model wrote; it may be cut. */
  arguments: string;
}

/** One answer with all its parts joined. */
export interface Answer {
  readonly index: number;
  readonly blocks: AnswerBlock[];
  readonly ids: number[];
  readonly logprobs: TextLogprob[];
  promptLogprobs: readonly TextLogprob[] | undefined;
  counts: TokenCount;
  finish: AnswerPart["finish"];
}

const NO_TOKENS: TokenCount = {
  promptTokens: 0,
  completionTokens: 0,
  cachedTokens: undefined,
  reasoningTokens: undefined,
};

/** Joins the parts of each answer to a request. */
export class AnswerCollector {
  readonly #answers = new Map<number, Answer>();

  add(part: AnswerPart): void {
    const answer = this.#answer(part.index);
    for (const piece of part.pieces) addPiece(answer.blocks, piece);
    for (const id of part.ids) answer.ids.push(id);
    for (const logprob of part.logprobs ?? []) answer.logprobs.push(logprob);
    answer.promptLogprobs ??= part.promptLogprobs;
    answer.counts = part.counts;
    answer.finish = part.finish;
  }

  /** The answers in the order of their index. */
  get answers(): readonly Answer[] {
    return [...this.#answers.values()].sort((a, b) => a.index - b.index);
  }

  #answer(index: number): Answer {
    const known = this.#answers.get(index);
    if (known) return known;
    const answer: Answer = {
      index,
      blocks: [],
      ids: [],
      logprobs: [],
      promptLogprobs: undefined,
      counts: NO_TOKENS,
      finish: undefined,
    };
    this.#answers.set(index, answer);
    return answer;
  }
}

function addPiece(blocks: AnswerBlock[], piece: OutputPiece): void {
  if (piece.kind === "tool_call") {
    blocks.push({ ...piece, arguments: "" });
  } else if (piece.kind === "tool_arguments") {
    const call = callsOf(blocks).find(({ index }) => index === piece.index);
    if (call) call.arguments += piece.text;
  } else {
    const last = blocks.at(-1);
    if (last?.kind === piece.kind) last.text += piece.text;
    else if (piece.text !== "") blocks.push({ kind: piece.kind, text: piece.text });
  }
}

/** All text of one kind in an answer; undefined where it has none. */
export function textOf(blocks: readonly AnswerBlock[], kind: "content" | "reasoning"): string | undefined {
  const texts = blocks.map((block) => (block.kind === kind ? block.text : "")).join("");
  return texts === "" ? undefined : texts;
}

export function callsOf(blocks: readonly AnswerBlock[]): CallBlock[] {
  return blocks.filter((block) => block.kind === "tool_call");
}

/** Adds up the tokens of all answers to a request. The tokens of a prompt with several answers count once. */
export class UsageTally {
  readonly #counts: TokenCount[] = [];
  readonly #answersPerPrompt: number;

  constructor(answersPerPrompt: number) {
    this.#answersPerPrompt = answersPerPrompt;
  }

  add({ index, counts }: AnswerPart): void {
    this.#counts[index] = counts;
  }

  get total(): TokenCount {
    let promptTokens = 0;
    let completionTokens = 0;
    let cachedTokens: number | undefined;
    let reasoningTokens: number | undefined;
    this.#counts.forEach((counts, index) => {
      completionTokens += counts.completionTokens;
      if (counts.reasoningTokens !== undefined) reasoningTokens = (reasoningTokens ?? 0) + counts.reasoningTokens;
      if (index % this.#answersPerPrompt !== 0) return;
      promptTokens += counts.promptTokens;
      if (counts.cachedTokens !== undefined) cachedTokens = (cachedTokens ?? 0) + counts.cachedTokens;
    });
    return { promptTokens, completionTokens, cachedTokens, reasoningTokens };
  }
}

/** The finish reason for an API that has `tool_calls` as one. Throws upstream_stream_error where the engine gave the request up. */
export function endReason(
  finish: NonNullable<AnswerPart["finish"]>,
  hasCalls: boolean,
): "stop" | "length" | "tool_calls" | "content_filter" {
  if (finish.reason === "abort") {
    // With a finish reason half an answer would look like a whole one.
    throw new GatewayError("upstream_stream_error", "the engine gave up this request");
  }
  return finish.reason === "stop" && hasCalls ? "tool_calls" : finish.reason;
}
