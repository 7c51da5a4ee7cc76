import { endReason } from "../answers.ts";
import type { AnswerHead, AnswerPart, AnswerWriter, OutputPiece, TextLogprob } from "../generation.ts";
import { finite } from "../openai/logprobs.ts";

interface GenerateOptions {
  readonly isStream: boolean;
  /** Whether there are several answers: the whole answer is then a list, and each event names its answer. */
  readonly isList: boolean;
  readonly answersPerPrompt: number;
  readonly hasLogprobs: boolean;
  readonly hasTop: boolean;
  readonly hasLogprobText: boolean;
  readonly rids: readonly string[] | undefined;
}

/** JSON of one answer so far. Each event repeats all of it, so it grows instead of being rebuilt. */
interface Growing {
  readonly id: string;
  /** The inside of the string and of the lists, without their ends. */
  text: string;
  ids: string;
  outputLogprobs: string;
  outputTop: string;
  inputLogprobs: string;
  inputTop: string;
  /** The object after the last part. */
  json: string;
}

/** Writes answers of SGLang's `/generate`. Each event of a stream repeats the whole answer so far. */
export class GenerateWriter implements AnswerWriter {
  readonly #head: AnswerHead;
  readonly #options: GenerateOptions;
  readonly #answers: Growing[] = [];

  constructor(head: AnswerHead, options: GenerateOptions) {
    this.#head = head;
    this.#options = options;
  }

  part(part: AnswerPart): string {
    const answer = (this.#answers[part.index] ??= this.#begin(part.index));
    this.#grow(answer, part);
    answer.json = this.#object(answer, part);
    return this.#options.isStream ? `data: ${answer.json}\n\n` : "";
  }

  end(): string {
    return "data: [DONE]\n\n";
  }

  whole(): string {
    // `filter` skips the holes of answers that have not begun.
    const objects = this.#answers.filter(() => true).map(({ json }) => json);
    return this.#options.isList ? `[${objects.join(",")}]` : (objects[0] ?? "null");
  }

  #begin(index: number): Growing {
    const { rids, isList, answersPerPrompt } = this.#options;
    const own = rids?.[Math.floor(index / answersPerPrompt)];
    const id =
      own !== undefined && answersPerPrompt === 1 ? own : `${own ?? this.#head.requestId}${isList ? `_${index}` : ""}`;
    return { id, text: "", ids: "", outputLogprobs: "", outputTop: "", inputLogprobs: "", inputTop: "", json: "" };
  }

  #grow(answer: Growing, { pieces, ids, logprobs, promptLogprobs }: AnswerPart): void {
    for (const piece of pieces) answer.text += JSON.stringify(pieceText(piece)).slice(1, -1);
    answer.ids = joined(answer.ids, ids.join(","));
    const { hasTop, hasLogprobText } = this.#options;
    if (logprobs) {
      answer.outputLogprobs = joined(answer.outputLogprobs, tuples(logprobs, hasLogprobText));
      if (hasTop) answer.outputTop = joined(answer.outputTop, topTuples(logprobs, hasLogprobText));
    }
    if (promptLogprobs && answer.inputLogprobs === "") {
      answer.inputLogprobs = tuples(promptLogprobs, hasLogprobText);
      if (hasTop) answer.inputTop = topTuples(promptLogprobs, hasLogprobText);
    }
  }

  #object(answer: Growing, { index, counts, finish }: AnswerPart): string {
    const { isList, isStream } = this.#options;
    const meta = {
      id: answer.id,
      finish_reason: finish ? finishReason(finish, counts.completionTokens) : null,
      prompt_tokens: counts.promptTokens,
      completion_tokens: counts.completionTokens,
      cached_tokens: counts.cachedTokens ?? 0,
      ...(counts.reasoningTokens === undefined ? {} : { reasoning_tokens: counts.reasoningTokens }),
    };
    const which = isList && isStream ? `"index":${index},` : "";
    const info = `${JSON.stringify(meta).slice(0, -1)}${this.#logprobs(answer)}}`;
    return `{${which}"text":"${answer.text}","output_ids":[${answer.ids}],"meta_info":${info}}`;
  }

  #logprobs(answer: Growing): string {
    if (!this.#options.hasLogprobs) return "";
    const tokens = `,"input_token_logprobs":[${answer.inputLogprobs}],"output_token_logprobs":[${answer.outputLogprobs}]`;
    if (!this.#options.hasTop) return tokens;
    return `${tokens},"input_top_logprobs":[${answer.inputTop}],"output_top_logprobs":[${answer.outputTop}]`;
  }
}

function joined(list: string, more: string): string {
  return list === "" || more === "" ? list + more : `${list},${more}`;
}

function pieceText(piece: OutputPiece): string {
  return piece.kind === "content" || piece.kind === "reasoning" ? piece.text : "";
}

function finishReason(finish: NonNullable<AnswerPart["finish"]>, tokens: number): object {
  const type = endReason(finish, false);
  if (type === "length") return { type, length: tokens };
  return finish.matched === undefined ? { type } : { type, matched: finish.matched };
}

type Tuple = readonly [logprob: number | null, id: number, text: string | null];

/** `[logprob, id, text]` for each token; the first token of a prompt has no logprob. */
function tuples(logprobs: readonly TextLogprob[], hasText: boolean): string {
  return inner(
    logprobs.map(({ logprob, id, token }): Tuple => [
      logprob === undefined ? null : finite(logprob),
      id,
      hasText ? token : null,
    ]),
  );
}

function topTuples(logprobs: readonly TextLogprob[], hasText: boolean): string {
  return inner(
    logprobs.map(({ top, logprob }) => {
      if (logprob === undefined) return null;
      return top.map((other): Tuple => [finite(other.logprob), other.id, hasText ? other.token : null]);
    }),
  );
}

function inner(list: readonly unknown[]): string {
  return JSON.stringify(list).slice(1, -1);
}
