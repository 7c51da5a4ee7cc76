/**
 * What a request asks of an engine that speaks tokens, and what such an engine answers, whichever API the client speaks.
 * The readers and writers of `openai/`, `anthropic/` and `sglang/` turn bodies into the former and the latter into bodies.
 */

/** One conversation as chat templates take it. */
export interface ChatPrompt {
  /**
   * In OpenAI's shape, whichever API they came in: text is a string or a list of `{type: "text", text}`, arguments of calls
   * are a JSON text or an object, reasoning of earlier answers is `reasoning_content`.
   */
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  /** Tools that the model may call, in OpenAI's shape; undefined where there are none. */
  readonly tools: readonly ToolSpec[] | undefined;
  readonly addGenerationPrompt: boolean;
  readonly continueFinalMessage: boolean;
  readonly documents: readonly unknown[] | undefined;
  /** `chat_template_kwargs` and what the API has of its own for them (`reasoning_effort`, thinking). */
  readonly kwargs: Readonly<Record<string, unknown>>;
}

export interface ToolSpec {
  readonly name: string;
  readonly description: string | undefined;
  /** JSON schema of the arguments. */
  readonly parameters: Readonly<Record<string, unknown>> | undefined;
  readonly isStrict: boolean;
}

export type Prompt =
  /** Special tokens that the tokenizer puts around a text are added where the request does not say otherwise. */
  | { readonly kind: "text"; readonly text: string; readonly addSpecialTokens: boolean }
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "chat"; readonly chat: ChatPrompt };

/** Undefined: what the model's own defaults say, else the engine's. */
export interface Sampling {
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  /** -1: all tokens. */
  readonly topK: number | undefined;
  readonly minP: number | undefined;
  readonly frequencyPenalty: number | undefined;
  readonly presencePenalty: number | undefined;
  readonly repetitionPenalty: number | undefined;
  readonly seed: number | undefined;
  /** By token id. */
  readonly logitBias: ReadonlyMap<number, number> | undefined;
}

/** What the text must be. */
export type Constraint =
  | { readonly kind: "json_schema"; readonly schema: string }
  | { readonly kind: "json_object" }
  | { readonly kind: "regex"; readonly pattern: string }
  | { readonly kind: "ebnf"; readonly grammar: string }
  | { readonly kind: "structural_tag"; readonly tag: string }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

/**
 * With `none` and `auto` the model writes in its own form, and no tool is offered with `none`. The others come with a
 * constraint that makes the text JSON, to be parsed as `form` says and not in the model's own form.
 */
export type ToolChoice =
  | { readonly kind: "none" | "auto" }
  /** A list of `{name, parameters}`, one at least. */
  | { readonly kind: "required"; readonly form: "json_calls" }
  /** The arguments of this function. */
  | { readonly kind: "function"; readonly name: string; readonly form: "json_arguments" };

export interface GenerationRequest {
  /** One, or a batch (completions, /generate). */
  readonly prompts: readonly Prompt[];
  /** Answers to each prompt. */
  readonly n: number;
  readonly sampling: Sampling;
  /** Undefined: as much as fits. */
  readonly maxTokens: number | undefined;
  readonly minTokens: number | undefined;
  readonly stop: readonly string[];
  readonly stopTokenIds: readonly number[];
  readonly includeStop: boolean;
  readonly ignoreEos: boolean;
  readonly skipSpecialTokens: boolean;
  /** Log-probabilities of what is generated, with so many alternatives each; undefined where not asked for. */
  readonly logprobs: { readonly top: number } | undefined;
  /** The same of the prompt, from this token on. */
  readonly promptLogprobs: { readonly top: number; readonly from: number } | undefined;
  /** The prompt stands before the answer: the writer needs `AnswerHead.promptTexts`. */
  readonly echo: boolean;
  readonly constraint: Constraint | undefined;
  readonly toolChoice: ToolChoice;
  readonly parallelToolCalls: boolean;
  /** Whether reasoning is told apart from the answer, where the model's parser can. */
  readonly separateReasoning: boolean;
  readonly priority: number | undefined;
  readonly loraId: string | undefined;
}

/** Probability of one token, natural logarithm, and of those that it was chosen from. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number | undefined;
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

/** Why a sequence ended. */
export type FinishReason = "stop" | "length" | "tool_calls" | "abort" | "content_filter";

export interface TokenCount {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number | undefined;
  readonly reasoningTokens: number | undefined;
}

/** A piece of what the model said. Pieces come in order, and all arguments of a call before whatever follows the call. */
export type OutputPiece =
  | { readonly kind: "content"; readonly text: string }
  | { readonly kind: "reasoning"; readonly text: string }
  /** Begins a call. `index` counts the calls of the answer from 0. */
  | { readonly kind: "tool_call"; readonly index: number; readonly id: string; readonly name: string }
  /** The next fragment of the JSON arguments of the call with that index. */
  | { readonly kind: "tool_arguments"; readonly index: number; readonly text: string };

/** A token with its text, for what clients see of log-probabilities. */
export interface TextLogprob {
  readonly token: string;
  readonly bytes: readonly number[];
  readonly id: number;
  readonly logprob: number | undefined;
  readonly top: readonly {
    readonly token: string;
    readonly bytes: readonly number[];
    readonly id: number;
    readonly logprob: number;
  }[];
}

/** What has come of one answer since the last time, ready to be written in the client's API. */
export interface AnswerPart {
  readonly index: number;
  readonly pieces: readonly OutputPiece[];
  /** Token ids of this part, for APIs that show them. */
  readonly ids: readonly number[];
  readonly logprobs: readonly TextLogprob[] | undefined;
  readonly promptLogprobs: readonly TextLogprob[] | undefined;
  readonly counts: TokenCount;
  readonly finish: { readonly reason: FinishReason; readonly matched: string | number | undefined } | undefined;
}

export interface AnswerHead {
  readonly requestId: string;
  readonly model: string;
  /** Unix time, s. */
  readonly created: number;
  /** Unix time as it is then, s. */
  readonly now: () => number;
  /** Text of each prompt, where `echo` is asked for. */
  readonly promptTexts?: readonly string[];
}

/** Writes one answer, with all its choices, in the shape of an API; one instance a request. */
export interface AnswerWriter {
  /** Events for what has come, empty where there is nothing to tell yet. Only for streams. */
  part(part: AnswerPart): string;
  /** Events after the last part: closing events, usage where asked for, the end marker. Only for streams. */
  end(): string;
  /** The same parts as one JSON text. Only where the answer is not streamed; `part` has been called for all of it. */
  whole(): string;
}

/** A request of any API, understood. */
export interface ApiRequest {
  readonly generation: GenerationRequest;
  readonly isStream: boolean;
  /** Of the answer in the same API, streamed or whole as it was asked for. */
  createWriter(head: AnswerHead): AnswerWriter;
}
