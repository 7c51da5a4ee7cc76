import { GatewayError } from "../errors/errors.ts";
import type { FinishReason, TokenLogprob } from "../protocol/generation.ts";
import type { EngineStep } from "./codec.ts";

/** What the messages of engines have in common. */

/** A chunk of a stream, as SGLang's service and vLLM's name its parts. */
interface SchedulerChunk {
  readonly index: number;
  readonly tokenIds: readonly number[];
  readonly outputLogprobs: OutputLogProbs | undefined;
  readonly inputLogprobs: InputLogProbs | undefined;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly reasoningTokens?: number;
}

/** The end of one sequence, likewise. */
interface SchedulerEnd extends Omit<SchedulerChunk, "tokenIds"> {
  readonly outputIds: readonly number[];
  readonly finishReason: string;
  readonly matchedStop: { readonly value: string | number } | undefined;
  readonly kvTransferParamsJson?: string | undefined;
}

const NO_IDS: readonly number[] = [];

/** A chunk as a step. */
export function chunkStep(chunk: SchedulerChunk): EngineStep {
  return {
    index: chunk.index,
    ids: chunk.tokenIds,
    logprobs: outputLogprobs(chunk.outputLogprobs),
    promptLogprobs: inputLogprobs(chunk.inputLogprobs),
    promptTokens: chunk.promptTokens,
    cachedTokens: chunk.cachedTokens,
    reasoningTokens: chunk.reasoningTokens,
    finish: undefined,
    kvParams: undefined,
  };
}

/** The end of a sequence as a step. The end of a stream repeats tokens that its chunks have told, so they are left out. Throws as `finishReason`. */
export function endStep(end: SchedulerEnd, isStreamed: boolean): EngineStep {
  return {
    index: end.index,
    ids: isStreamed ? NO_IDS : end.outputIds,
    logprobs: isStreamed ? undefined : outputLogprobs(end.outputLogprobs),
    promptLogprobs: isStreamed ? undefined : inputLogprobs(end.inputLogprobs),
    promptTokens: end.promptTokens,
    cachedTokens: end.cachedTokens,
    reasoningTokens: end.reasoningTokens,
    finish: { reason: finishReason(end.finishReason), matched: end.matchedStop?.value },
    kvParams: end.kvTransferParamsJson,
  };
}

interface TopLogProbs {
  readonly values: readonly number[];
  readonly tokenIds: readonly number[];
}

interface OutputLogProbs {
  readonly tokenLogprobs: readonly number[];
  readonly tokenIds: readonly number[];
  readonly topLogprobs: readonly TopLogProbs[];
}

interface InputLogProbs {
  readonly tokenLogprobs: readonly { readonly value?: number | undefined }[];
  readonly tokenIds: readonly number[];
  readonly topLogprobs: readonly TopLogProbs[];
}

function outputLogprobs(probs: OutputLogProbs | undefined): readonly TokenLogprob[] | undefined {
  return probs?.tokenIds.map((id, at) => ({ id, logprob: probs.tokenLogprobs[at], top: topOf(probs.topLogprobs[at]) }));
}

/** The first token of a prompt has none. */
function inputLogprobs(probs: InputLogProbs | undefined): readonly TokenLogprob[] | undefined {
  return probs?.tokenIds.map((id, at) => ({
    id,
    logprob: probs.tokenLogprobs[at]?.value,
    top: topOf(probs.topLogprobs[at]),
  }));
}

function topOf(top: TopLogProbs | undefined): TokenLogprob["top"] {
  return top?.tokenIds.map((id, at) => ({ id, logprob: top.values[at] ?? Number.NEGATIVE_INFINITY })) ?? [];
}

/** Throws upstream_stream_error where the engine gave the request up by itself. */
export function finishReason(text: string): FinishReason {
  switch (text) {
    case "length":
      return "length";
    case "abort":
    case "error":
      throw new GatewayError("upstream_stream_error", "the engine gave the request up");
    default:
      return "stop";
  }
}

/** As messages have them. `Array.from` takes 75 µs for a prompt of 4,000 tokens, this 5 (Bun 1.4.5, 2026-11-24). */
export function numbersOf(ids: Uint32Array): number[] {
  const numbers = Array<number>(ids.length);
  for (let at = 0; at < ids.length; at += 1) numbers[at] = ids[at] ?? 0;
  return numbers;
}

/** Seeds of clients have 53 bits and more, engines take 31. */
export function seedOf(seed: number | undefined): number | undefined {
  return seed === undefined ? undefined : Math.abs(Math.trunc(seed)) % 2_147_483_648;
}

/** A regular expression that takes these texts and nothing else. */
export function anyOf(choices: readonly string[]): string {
  return `(${choices.map((choice) => choice.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`;
}
