import { isFinishReason } from "../finish-reason.ts";
import { isJsonObject, type JsonObject, numberField, objectField, stringField } from "../json/json.ts";
import type { JsonBody } from "../json/json-body.ts";
import { readUsage, type Usage } from "../usage.ts";
import { QUOTE } from "../../util/ascii.ts";

/** How chat and completions differ where an answer is gone on with. */
interface Form {
  textOf(choice: JsonObject): string;
  /** The choice with another text. */
  withText(choice: JsonObject, text: string): JsonObject;
  /** The choice has more than text, so that text alone does not say how far the answer was. */
  isMoreThanText(choice: JsonObject): boolean;
  /** Members to set so that the worker goes on after `text`; undefined where there is nothing to go on from. */
  changes(body: JsonBody, text: string): [name: string, json: string][];
  /** Chat templates trim what they are given, completions are taken as they are. */
  readonly isTrimmed: boolean;
}

const CHAT: Form = {
  isTrimmed: true,
  textOf: (choice) => stringField(objectField(choice, "delta") ?? {}, "content") ?? "",
  withText: (choice, text) => ({ ...choice, delta: text === "" ? {} : { content: text } }),
  isMoreThanText(choice) {
    const delta = objectField(choice, "delta") ?? {};
    return ["tool_calls", "function_call", "reasoning_content", "reasoning", "refusal", "audio"].some(
      (name) => delta[name] !== undefined && delta[name] !== null,
    );
  },
  changes(body, text) {
    if (text === "") return [];
    const messages = textOf(body.raw("messages"));
    const answer = JSON.stringify({ role: "assistant", content: text });
    return [
      ["messages", `${messages.slice(0, messages.lastIndexOf("]"))},${answer}]`],
      ["continue_final_message", "true"],
      ["add_generation_prompt", "false"],
    ];
  },
};

const COMPLETION: Form = {
  isTrimmed: false,
  textOf: (choice) => stringField(choice, "text") ?? "",
  withText: (choice, text) => ({ ...choice, text }),
  isMoreThanText: () => false,
  // The string as it stands in the body, without its closing quote.
  changes: (body, text) => [["prompt", `${textOf(body.raw("prompt")).slice(0, -1)}${JSON.stringify(text).slice(1)}`]],
};

/** With these, what was sent does not say how to go on: several answers, numbers for each token, a grammar half-way. */
const REFUSED = [
  "logprobs",
  "top_logprobs",
  "prompt_logprobs",
  "best_of",
  "echo",
  "suffix",
  "response_format",
  "structured_outputs",
  "guided_json",
  "guided_regex",
  "guided_choice",
  "guided_grammar",
  "json_schema",
  "regex",
  "ebnf",
  "structural_tag",
  "continue_final_message",
  "add_generation_prompt",
  "return_token_ids",
  "use_beam_search",
] as const;

/** How an answer to this chat request goes on with another worker; undefined where it cannot. */
export function continueChat(body: JsonBody): Continuation | undefined {
  return isContinuable(body) ? new Continuation(CHAT, body) : undefined;
}

/** How an answer to this completion request goes on with another worker; undefined where it cannot. */
export function continueCompletion(body: JsonBody): Continuation | undefined {
  const isOneText = body.raw("prompt")?.[0] === QUOTE;
  return isOneText && isContinuable(body) ? new Continuation(COMPLETION, body) : undefined;
}

function isContinuable(body: JsonBody): boolean {
  return (body.value("n") ?? 1) === 1 && !REFUSED.some((name) => isAsked(body.value(name) ?? body.raw(name)));
}

/** Members that say what all events of a stream have in common. */
const HEAD = ["id", "created", "model", "system_fingerprint"] as const;
const LIMITS = ["max_completion_tokens", "max_tokens"] as const;

/**
 * The answer of a stream so far, and what it takes to have another worker go on with it: the request with that text as
 * a prefix, and the other worker's events made to fit. Where a chat template would trim the end of the text, that is left
 * out of the prefix and swallowed when the other worker writes it again.
 */
export class Continuation {
  readonly #form: Form;
  readonly #body: JsonBody;
  readonly #head: Record<string, unknown> = {};
  #text = "";
  #tokens = 0;
  /** Tokens that the workers before this one sent. */
  #tokensBefore = 0;
  #promptTokens: number | undefined;
  #isPossible = true;
  #isContinuing = false;
  /** White space that the other worker may write a second time. */
  #again = "";
  /** The answer was as long as it may be; only its end was missing. */
  #isFull = false;
  #usage: Usage | undefined;

  constructor(form: Form, body: JsonBody) {
    this.#form = form;
    this.#body = body;
  }

  get isContinuing(): boolean {
    return this.#isContinuing;
  }

  /** Of all workers together; undefined until there is one. */
  get usage(): Usage | undefined {
    return this.#usage;
  }

  /** An event that goes to the client as it is. */
  observe(event: JsonObject): void {
    for (const name of HEAD) if (event[name] !== undefined) this.#head[name] ??= event[name];
    this.#readUsage(event);
    const choice = firstChoice(event);
    if (!choice) return;
    if (this.#form.isMoreThanText(choice)) this.#isPossible = false;
    this.#add(this.#form.textOf(choice));
  }

  /** The request for the rest; undefined where it cannot be asked for. From now on events are rewritten. */
  nextBody(): Uint8Array | undefined {
    if (!this.#isPossible) return undefined;
    const prefix = this.#form.isTrimmed ? this.#text.trimEnd() : this.#text;
    this.#again = this.#text.slice(prefix.length);
    this.#tokensBefore = this.#tokens;
    this.#isContinuing = true;
    const changes = new Map(this.#form.changes(this.#body, prefix));
    for (const name of LIMITS) {
      const limit = this.#body.value(name);
      if (typeof limit !== "number") continue;
      this.#isFull = limit <= this.#tokens;
      changes.set(name, String(Math.max(1, limit - this.#tokens)));
    }
    const least = this.#body.value("min_tokens");
    if (typeof least === "number") changes.set("min_tokens", String(Math.max(0, least - this.#tokens)));
    return this.#body.with(changes);
  }

  /** An event of the worker that goes on, as it fits into the stream; undefined where nothing is left of it. */
  rewrite(event: JsonObject): JsonObject | undefined {
    this.#readUsage(event);
    const usage = this.#usage && event["usage"] ? { usage: usageBlock(event["usage"], this.#usage) } : {};
    const choice = firstChoice(event);
    if (!choice) return { ...event, ...this.#head, ...usage };
    if (this.#form.isMoreThanText(choice)) this.#isPossible = false;
    const text = this.#isFull ? "" : this.#swallow(this.#form.textOf(choice));
    this.#add(text);
    const isEnd = isFinishReason(choice["finish_reason"]);
    if (text === "" && !isEnd && !this.#form.isMoreThanText(choice)) return undefined;
    const fitting = this.#form.isMoreThanText(choice) ? choice : this.#form.withText(choice, text);
    return { ...event, ...this.#head, ...usage, choices: [fitting] };
  }

  #add(text: string): void {
    if (text === "") return;
    this.#text += text;
    this.#tokens += 1;
  }

  #swallow(text: string): string {
    let from = 0;
    while (from < text.length && this.#again !== "" && text[from] === this.#again[0]) {
      this.#again = this.#again.slice(1);
      from += 1;
    }
    // What differs from here on is the answer.
    if (from < text.length) this.#again = "";
    return text.slice(from);
  }

  /** Counts of the worker are of its own part: the prompt with the prefix, and what it added. */
  #readUsage(event: JsonObject): void {
    const usage = isJsonObject(event["usage"]) ? readUsage(event) : undefined;
    if (!usage) return;
    const { promptTokens, completionTokens = 0, cachedTokens } = usage;
    const own = this.#isFull ? 0 : completionTokens;
    this.#tokens = this.#tokensBefore + own;
    if (!this.#isContinuing) this.#promptTokens = promptTokens;
    else if (promptTokens !== undefined) this.#promptTokens ??= Math.max(0, promptTokens - this.#tokensBefore);
    this.#usage = { promptTokens: this.#promptTokens, completionTokens: this.#tokens, cachedTokens };
  }
}

function textOf(raw: Uint8Array = new Uint8Array(0)): string {
  return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8");
}

function firstChoice(event: JsonObject): JsonObject | undefined {
  const { choices } = event;
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined;
  return isJsonObject(first) ? first : undefined;
}

function usageBlock(block: unknown, { promptTokens = 0, completionTokens = 0 }: Usage): JsonObject {
  return {
    ...(isJsonObject(block) ? block : {}),
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

/** Said and not said as its opposite: `logprobs: false`, `response_format: {"type": "text"}`. */
function isAsked(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0) return false;
  return !(isJsonObject(value) && numberField(value, "type") === undefined && value["type"] === "text");
}
