import { createOutputParser, type OutputParserOptions } from "../../parser/create-output-parser.ts";
import type { OutputParser } from "../../parser/output-parser.ts";
import type {
  AnswerPart,
  GenerationRequest,
  OutputPiece,
  TextLogprob,
  TokenLogprob,
} from "../../protocol/generation.ts";
import type { Detokenizer } from "../../tokenizer/decode/detokenizer.ts";
import { StopMatcher, type StopStrings } from "../../tokenizer/decode/stop-strings.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import type { EngineStep } from "../../engine/codec.ts";

/** Settings that all answers to one request share. */
export interface AssemblySettings {
  readonly tokenizer: Tokenizer;
  readonly request: GenerationRequest;
  readonly stops: StopStrings;
  /** Tokens that end an answer and are not part of its text. */
  readonly endTokens: ReadonlySet<number>;
  /** Whether the parser needs special tokens in the text. */
  readonly keepsSpecialTokens: boolean;
  /** undefined: all text is content. */
  readonly parser: OutputParserOptions | undefined;
}

/** Facts of the prefill worker for the decode worker's answer. */
export type FromPrefill = Partial<Pick<EngineStep, "cachedTokens" | "promptLogprobs">>;

/**
 * Turns the tokens of one answer into parts for its API: text that never cuts a character, up to the first stop string, with
 * reasoning and calls separated.
 */
export class AnswerAssembler {
  readonly #settings: AssemblySettings;
  readonly #index: number;
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopMatcher;
  readonly #parser: OutputParser | undefined;
  #completionTokens = 0;
  #isFinished = false;

  constructor(settings: AssemblySettings, index: number, startsInReasoning: boolean | undefined) {
    const { tokenizer, request, stops, keepsSpecialTokens, parser } = settings;
    this.#settings = settings;
    this.#index = index;
    this.#detokenizer = tokenizer.createDetokenizer({
      skipSpecialTokens: request.skipSpecialTokens && !keepsSpecialTokens,
    });
    this.#stops = new StopMatcher(stops, request.includeStop);
    this.#parser =
      parser && createOutputParser({ ...parser, startsInReasoning: startsInReasoning ?? parser.startsInReasoning });
  }

  /** Whether the answer is over: the engine ended it, or a stop string did, which the engine does not know. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Takes a step of the engine. `known`: facts from the prefill worker. Do not call it after the answer is finished. */
  take(step: EngineStep, known?: FromPrefill): AnswerPart {
    const { tokenizer } = this.#settings;
    this.#completionTokens += step.ids.length;
    const stop = this.#stops.push(this.#detokenizer.push(this.#textIds(step.ids)));
    let pieces = this.#parse(stop.text);
    let { finish } = step;
    if (stop.matched !== undefined) finish = { reason: "stop", matched: stop.matched };
    else if (finish) {
      const last = this.#stops.push(this.#detokenizer.flush());
      if (last.matched !== undefined) finish = { reason: "stop", matched: last.matched };
      const rest = last.matched === undefined ? last.text + this.#stops.flush() : last.text;
      if (rest !== "") pieces = [...pieces, ...this.#parse(rest)];
    }
    if (finish) {
      this.#isFinished = true;
      if (this.#parser) pieces = [...pieces, ...this.#parser.end()];
    }
    const promptLogprobs = known?.promptLogprobs ?? step.promptLogprobs;
    return {
      index: this.#index,
      pieces,
      ids: Array.isArray(step.ids) ? step.ids : Array.from(step.ids),
      logprobs: step.logprobs && withText(step.logprobs, tokenizer),
      promptLogprobs: promptLogprobs && withText(promptLogprobs, tokenizer),
      counts: {
        promptTokens: step.promptTokens,
        completionTokens: this.#completionTokens,
        cachedTokens: known?.cachedTokens ?? step.cachedTokens,
        reasoningTokens: step.reasoningTokens,
      },
      finish,
    };
  }

  #parse(text: string): readonly OutputPiece[] {
    if (this.#parser) return this.#parser.push(text);
    return text === "" ? NO_PIECES : [{ kind: "content", text }];
  }

  /** The ids of the text, without the token that ended the answer. */
  #textIds(ids: ArrayLike<number>): ArrayLike<number> {
    const { endTokens, request } = this.#settings;
    const last = ids.length - 1;
    if (last < 0 || request.includeStop || !endTokens.has(ids[last] ?? -1)) return ids;
    return Array.prototype.slice.call(ids, 0, last);
  }
}

const NO_PIECES: readonly OutputPiece[] = [];

function withText(logprobs: readonly TokenLogprob[], tokenizer: Tokenizer): TextLogprob[] {
  return logprobs.map(({ id, logprob, top }) => ({
    ...tokenText(id, tokenizer),
    logprob,
    top: top.map((other) => ({ ...tokenText(other.id, tokenizer), logprob: other.logprob })),
  }));
}

function tokenText(
  id: number,
  tokenizer: Tokenizer,
): { readonly id: number; readonly token: string; readonly bytes: readonly number[] } {
  const bytes = tokenizer.bytesOf(id);
  return { id, token: Buffer.from(bytes).toString("utf8"), bytes: Array.from(bytes) };
}
