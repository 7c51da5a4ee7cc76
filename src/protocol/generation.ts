/**
 * A request to an engine that speaks tokens, and the answer of such an engine, in a form that no API has of its own. Readers in
 * `openai/`, `anthropic/` and `sglang/` make such a request from a body; writers there make a body from such an answer.
 */

/** A conversation as chat templates take it. */
export interface ChatPrompt {
  /**
   * Messages of every API in the shape of OpenAI's: text is a string or a list of `{type: "text", text}`, arguments of calls
   * are a JSON text or an object, and the reasoning of an earlier answer is `reasoning_content`.
   */
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  /** Tools that the model may call; undefined for none. */
  readonly tools: readonly ToolSpec[] | undefined;
  readonly addGenerationPrompt: boolean;
  readonly continueFinalMessage: boolean;
  readonly documents: readonly unknown[] | undefined;
  /** Variables for the template: `chat_template_kwargs`, and what members such as `reasoning_effort` say. */
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** A tool that the model may call. */
export interface ToolSpec {
  readonly name: string;
  readonly description: string | undefined;
  /** JSON schema of the arguments. */
  readonly parameters: Readonly<Record<string, unknown>> | undefined;
  /** Members of the function as the client wrote them, null too; its schema is under `parameters`. */
  readonly written: Readonly<Record<string, unknown>>;
  /** Members beside the function, where the API has the function in an object of its own. */
  readonly beside: Readonly<Record<string, unknown>>;
}

/** One prompt: a conversation, a text or token ids. */
export type Prompt =
  /** `addSpecialTokens`: whether the tokenizer's own special tokens are put around the text. */
  | { readonly kind: "text"; readonly text: string; readonly addSpecialTokens: boolean }
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "chat"; readonly chat: ChatPrompt };

/** How tokens are chosen. What is undefined is the model's own default, or else the engine's. */
export interface Sampling {
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  /** -1 stands for all tokens. */
  readonly topK: number | undefined;
  readonly minP: number | undefined;
  readonly frequencyPenalty: number | undefined;
  readonly presencePenalty: number | undefined;
  readonly repetitionPenalty: number | undefined;
  readonly seed: number | undefined;
  /** Added to the logit of a token, by its id. */
  readonly logitBias: ReadonlyMap<number, number> | undefined;
}

/** What the engine forces the text to be. */
export type Constraint =
  | { readonly kind: "json_schema"; readonly schema: string }
  | { readonly kind: "json_object" }
  | { readonly kind: "regex"; readonly pattern: string }
  | { readonly kind: "ebnf"; readonly grammar: string }
  | { readonly kind: "structural_tag"; readonly tag: string }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

/**
 * Whether the model may call tools. With `none` it is told of no tool, and with `auto` it calls tools in its own form. The other
 * two come with a constraint that makes the text JSON, which is parsed as `form` says.
 */
export type ToolChoice =
  | { readonly kind: "none" | "auto" }
  /** The text is a list of at least one `{name, parameters}`. */
  | { readonly kind: "required"; readonly form: "json_calls" }
  /** The text is the arguments of this function. */
  | { readonly kind: "function"; readonly name: string; readonly form: "json_arguments" };

/** A request to generate, for any engine that takes tokens. */
export interface GenerationRequest {
  /** One prompt; several in a batch of completions or /generate. */
  readonly prompts: readonly Prompt[];
  /** Number of answers to each prompt. */
  readonly n: number;
  readonly sampling: Sampling;
  /** Undefined for as many tokens as fit. */
  readonly maxTokens: number | undefined;
  readonly minTokens: number | undefined;
  readonly stop: readonly string[];
  readonly stopTokenIds: readonly number[];
  readonly includeStop: boolean;
  readonly ignoreEos: boolean;
  readonly skipSpecialTokens: boolean;
  /** Asks for log-probabilities of the generated tokens, each with `top` alternatives. */
  readonly logprobs: { readonly top: number } | undefined;
  /** Asks for log-probabilities of the prompt's tokens from index `from` on. */
  readonly promptLogprobs: { readonly top: number; readonly from: number } | undefined;
  /** The answer begins with the prompt, which the writer takes from `AnswerHead.promptTexts`. */
  readonly echo: boolean;
  readonly constraint: Constraint | undefined;
  readonly toolChoice: ToolChoice;
  readonly parallelToolCalls: boolean;
  /** Whether the answer has its reasoning apart from its content, where a parser can tell them apart. */
  readonly separateReasoning: boolean;
  readonly priority: number | undefined;
  readonly loraId: string | undefined;
}

/** Natural logarithm of the probability of a token and of its alternatives. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number | undefined;
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

/** Why an engine ended a sequence. */
export type FinishReason = "stop" | "length" | "tool_calls" | "abort" | "content_filter";

/** Token counts of an answer. */
export interface TokenCount {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number | undefined;
  readonly reasoningTokens: number | undefined;
}

/** A piece of the model's answer. Pieces come in order; all arguments of a call come before the next piece of another kind. */
export type OutputPiece =
  | { readonly kind: "content"; readonly text: string }
  | { readonly kind: "reasoning"; readonly text: string }
  /** Begins a call. `index` counts the calls of the answer from 0. */
  | { readonly kind: "tool_call"; readonly index: number; readonly id: string; readonly name: string }
  /** The next fragment of the JSON arguments of the call with that index. */
  | { readonly kind: "tool_arguments"; readonly index: number; readonly text: string };

/** Log-probability of a token and its alternatives, with their texts. */
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

/** What has come of one answer since its last part. */
export interface AnswerPart {
  readonly index: number;
  readonly pieces: readonly OutputPiece[];
  /** Token ids of the part, for APIs that show them. */
  readonly ids: readonly number[];
  readonly logprobs: readonly TextLogprob[] | undefined;
  readonly promptLogprobs: readonly TextLogprob[] | undefined;
  readonly counts: TokenCount;
  readonly finish: { readonly reason: FinishReason; readonly matched: string | number | undefined } | undefined;
}

/** Facts about an answer that its writer needs from the beginning. */
export interface AnswerHead {
  readonly requestId: string;
  readonly model: string;
  /** Unix time, s. */
  readonly created: number;
  /** The Unix time at the moment of the call, s. */
  readonly now: () => number;
  /** Text of each prompt, where the request asks for `echo`. */
  readonly promptTexts?: readonly string[];
}

/** Writes the answers to one request in the shape of an API. */
export interface AnswerWriter {
  /** Takes a part. In a stream the result is its events; empty where the part makes none. */
  part(part: AnswerPart): string;
  /** Streams only: the events behind the last part, which are closing events, usage where asked for, and the end marker. */
  end(): string;
  /** Whole answers only: the JSON text of all parts that `part` has taken. */
  whole(): string;
}

/** A request of any API after its body was read. */
export interface ApiRequest {
  readonly generation: GenerationRequest;
  readonly isStream: boolean;
  /** Makes the writer of the answers in the request's API. */
  createWriter(head: AnswerHead): AnswerWriter;
}
