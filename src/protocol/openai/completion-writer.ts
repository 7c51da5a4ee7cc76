import { endReason, UsageTally } from "../answers.ts";
import type { AnswerHead, AnswerPart, AnswerWriter, OutputPiece, TextLogprob, TokenCount } from "../generation.ts";
import { stopReason } from "./chat-writer.ts";
import { type LegacyLogprobs, LegacyLogprobWriter } from "./legacy-logprobs.ts";
import { promptLogprobEntries } from "./logprobs.ts";
import type { StreamOptions } from "./stream-options.ts";
import { usageBlock } from "./usage-block.ts";

interface CompletionOptions extends StreamOptions {
  readonly answersPerPrompt: number;
  /** Id of the answer that the client chose itself; undefined where it chose none. */
  readonly id: string | undefined;
  /** Whether the text begins with the prompt. */
  readonly isEcho: boolean;
  /** Whether the text is the prompt alone, without what the engine generated. */
  readonly isPromptOnly: boolean;
  readonly hasLogprobs: boolean;
  /** Whether each choice has vLLM's `prompt_logprobs`. */
  readonly hasPromptLogprobs: boolean;
}

/** One choice as far as it has come. */
interface Choice {
  readonly offsets: LegacyLogprobWriter;
  text: string;
  readonly logprobs: LegacyLogprobs[];
  promptLogprobs: readonly TextLogprob[] | undefined;
  finish: AnswerPart["finish"];
  hasBegun: boolean;
}

/** A part in the members of this API. */
interface Written {
  readonly text: string;
  readonly logprobs: LegacyLogprobs | undefined;
}

/** Writes answers of `/v1/completions`. */
export class CompletionWriter implements AnswerWriter {
  readonly #members: object;
  readonly #promptTexts: readonly string[];
  readonly #options: CompletionOptions;
  readonly #usage: UsageTally;
  readonly #choices: Choice[] = [];
  /** The text that every event begins with. */
  readonly #opening: string;

  constructor(head: AnswerHead, options: CompletionOptions) {
    const { requestId, created, model } = head;
    this.#members = { id: options.id ?? `cmpl-${requestId}`, object: "text_completion", created, model };
    this.#promptTexts = head.promptTexts ?? [];
    this.#options = options;
    this.#usage = new UsageTally(options.answersPerPrompt);
    this.#opening = `data: ${JSON.stringify(this.#members).slice(0, -1)},"choices":[`;
  }

  part(whole: AnswerPart): string {
    const part = this.#options.isPromptOnly ? withoutAnswer(whole) : whole;
    this.#usage.add(part);
    const choice = (this.#choices[part.index] ??= newChoice());
    const written = this.#write(choice, part);
    if (this.#options.isStream) return this.#event(part, written);
    choice.text += written.text;
    if (written.logprobs) choice.logprobs.push(written.logprobs);
    choice.promptLogprobs ??= part.promptLogprobs;
    choice.finish = part.finish;
    return "";
  }

  end(): string {
    if (!this.#options.includeUsage) return "data: [DONE]\n\n";
    return `${this.#opening}],"usage":${JSON.stringify(usageBlock(this.#usage.total))}}\n\ndata: [DONE]\n\n`;
  }

  whole(): string {
    // A choice that has not begun has no entry in the array.
    const choices = [...this.#choices.entries()].flatMap(([index, choice]) =>
      choice ? [this.#whole(index, choice)] : [],
    );
    return JSON.stringify({ ...this.#members, choices, usage: usageBlock(this.#usage.total) });
  }

  #whole(index: number, { text, logprobs, promptLogprobs, finish }: Choice): object {
    return {
      index,
      text,
      logprobs: this.#options.hasLogprobs ? join(logprobs) : null,
      finish_reason: finish ? endReason(finish, false) : null,
      ...(finish ? stopReason(finish) : {}),
      ...(this.#options.hasPromptLogprobs ? { prompt_logprobs: promptLogprobEntries(promptLogprobs ?? []) } : {}),
    };
  }

  #write(choice: Choice, { index, pieces, logprobs, promptLogprobs }: AnswerPart): Written {
    let text = pieces.length === 1 ? pieceText(pieces[0]) : pieces.map(pieceText).join("");
    if (this.#options.isEcho && !choice.hasBegun) {
      text = (this.#promptTexts[Math.floor(index / this.#options.answersPerPrompt)] ?? "") + text;
    }
    choice.hasBegun = true;
    if (!this.#options.hasLogprobs) return { text, logprobs: undefined };
    const shown = [...(this.#options.isEcho ? (promptLogprobs ?? []) : []), ...(logprobs ?? [])];
    return { text, logprobs: shown.length > 0 ? choice.offsets.write(shown) : undefined };
  }

  #event({ index, counts, finish }: AnswerPart, { text, logprobs }: Written): string {
    if (text === "" && !logprobs && !finish) return "";
    const shown = logprobs ? JSON.stringify(logprobs) : "null";
    const reason = finish ? JSON.stringify(endReason(finish, false)) : "null";
    const extra = finish?.matched === undefined ? "" : `,"stop_reason":${JSON.stringify(finish.matched)}`;
    const choice = `{"index":${index},"text":${JSON.stringify(text)},"logprobs":${shown},"finish_reason":${reason}${extra}}`;
    return `${this.#opening}${choice}]${this.#tail(counts)}`;
  }

  #tail(counts: TokenCount): string {
    const { includeUsage, continuousUsage } = this.#options;
    if (!includeUsage) return "}\n\n";
    return `,"usage":${continuousUsage ? JSON.stringify(usageBlock(counts)) : "null"}}\n\n`;
  }
}

function newChoice(): Choice {
  return {
    offsets: new LegacyLogprobWriter(),
    text: "",
    logprobs: [],
    promptLogprobs: undefined,
    finish: undefined,
    hasBegun: false,
  };
}

/** Text of a piece. This API tells neither calls nor reasoning apart, so all text is the answer. */
function pieceText(piece: OutputPiece | undefined): string {
  return piece?.kind === "content" || piece?.kind === "reasoning" ? piece.text : "";
}

function withoutAnswer(part: AnswerPart): AnswerPart {
  return {
    ...part,
    pieces: [],
    ids: [],
    logprobs: undefined,
    counts: { ...part.counts, completionTokens: 0, reasoningTokens: undefined },
    finish: part.finish && { reason: part.finish.reason === "abort" ? "abort" : "length", matched: undefined },
  };
}

function join(parts: readonly LegacyLogprobs[]): LegacyLogprobs {
  return {
    tokens: parts.flatMap(({ tokens }) => tokens),
    token_logprobs: parts.flatMap((part) => part.token_logprobs),
    top_logprobs: parts.flatMap((part) => part.top_logprobs),
    text_offset: parts.flatMap((part) => part.text_offset),
  };
}
