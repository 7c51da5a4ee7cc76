import { isFinishReason } from "../finish-reason.ts";
import { isJsonObject, type JsonObject, numberField, objectField, stringField } from "../json/json.ts";
import type { JsonBody } from "../json/json-body.ts";
import { readUsage, type Usage } from "../usage.ts";
import { QUOTE } from "../../util/ascii.ts";

/** What a chat answer and a completion do differently when another worker continues them. */
interface Form {
  textOf(choice: JsonObject): string;
  /** The choice with another text. */
  withText(choice: JsonObject, text: string): JsonObject;
  /** The choice has more than text (calls, reasoning), so that its text does not say how far the answer was. */
  isMoreThanText(choice: JsonObject): boolean;
  /** Members of the body, as JSON text, with which a worker continues after `text`; none where there is no text yet. */
  changes(body: JsonBody, text: string): [name: string, json: string][];
  /** A chat template trims the end of the text that it is given. A completion's prompt is taken as it is. */
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

/** Members of a request that the text of its answer cannot continue: several answers, numbers for each token, half of a grammar. */
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

/** What another worker needs to continue the answer to this chat request; undefined where none can. */
export function continueChat(body: JsonBody): Continuation | undefined {
  return isContinuable(body) ? new Continuation(CHAT, body) : undefined;
}

/** What another worker needs to continue the answer to this completion request; undefined where none can. */
export function continueCompletion(body: JsonBody): Continuation | undefined {
  const isOneText = body.raw("prompt")?.[0] === QUOTE;
  return isOneText && isContinuable(body) ? new Continuation(COMPLETION, body) : undefined;
}

function isContinuable(body: JsonBody): boolean {
  return (body.value("n") ?? 1) === 1 && !REFUSED.some((name) => isAsked(valueOf(body, name)));
}

/** The member's value; its bytes where it is too long for one. */
function valueOf(body: JsonBody, name: string): unknown {
  const value = body.value(name);
  return value === undefined ? body.raw(name) : value;
}

/** Members that are the same in all events of a stream: the client sees those of the first worker. */
const HEAD = ["id", "created", "model", "system_fingerprint"] as const;
const LIMITS = ["max_completion_tokens", "max_tokens"] as const;

/**
 * Lets another worker continue a stream whose worker was lost. It keeps the text that the client has, makes a request with that text as
 * a prefix, and rewrites the other worker's events so that they fit behind those that the client has. White space at the end of the text
 * that a chat template would trim is left out of the prefix, and taken off the other worker's text if it writes the same again.
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
  /** The answer had all the tokens that the client allows; only its last event was missing. */
  #isFull = false;
  #usage: Usage | undefined;

  constructor(form: Form, body: JsonBody) {
    this.#form = form;
    this.#body = body;
  }

  get isContinuing(): boolean {
    return this.#isContinuing;
  }

  /** Counts of all workers of this stream together; undefined until a worker has told some. */
  get usage(): Usage | undefined {
    return this.#usage;
  }

  /** Takes note of an event that goes to the client unchanged. */
  observe(event: JsonObject): void {
    for (const name of HEAD) if (event[name] !== undefined) this.#head[name] ??= event[name];
    const isCounted = this.#readUsage(event);
    const choice = firstChoice(event);
    if (!choice) return;
    if (this.#form.isMoreThanText(choice)) this.#isPossible = false;
    this.#add(this.#form.textOf(choice), isCounted);
  }

  /** The body that asks for the rest of the answer; undefined where the answer had more than text. From now on `rewrite` is due. */
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

  /** An event of the worker that continues, as the client gets it; undefined where it has nothing new for the client. */
  rewrite(event: JsonObject): JsonObject | undefined {
    const isCounted = this.#readUsage(event);
    const usage = this.#usage && event["usage"] ? { usage: usageBlock(event["usage"], this.#usage) } : {};
    const choice = firstChoice(event);
    if (!choice) return { ...event, ...this.#head, ...usage };
    if (this.#form.isMoreThanText(choice)) this.#isPossible = false;
    const text = this.#isFull ? "" : this.#swallow(this.#form.textOf(choice));
    this.#add(text, isCounted);
    const isEnd = isFinishReason(choice["finish_reason"]);
    if (text === "" && !isEnd && !this.#form.isMoreThanText(choice)) return undefined;
    const fitting = this.#form.isMoreThanText(choice) ? choice : this.#form.withText(choice, text);
    return { ...event, ...this.#head, ...usage, choices: [fitting] };
  }

  /** `isCounted`: the event's own counts have the tokens of this text. Without counts an event is a token. */
  #add(text: string, isCounted: boolean): void {
    if (text === "") return;
    this.#text += text;
    if (!isCounted) this.#tokens += 1;
  }

  #swallow(text: string): string {
    let from = 0;
    while (from < text.length && this.#again !== "" && text[from] === this.#again[0]) {
      this.#again = this.#again.slice(1);
      from += 1;
    }
    // From the first character that differs, the text is new.
    if (from < text.length) this.#again = "";
    return text.slice(from);
  }

  /** A worker counts only its own part: the prompt with the prefix, and the tokens that it added. False where the event has no counts. */
  #readUsage(event: JsonObject): boolean {
    const usage = isJsonObject(event["usage"]) ? readUsage(event) : undefined;
    if (!usage) return false;
    const { promptTokens, completionTokens = 0, cachedTokens } = usage;
    const own = this.#isFull ? 0 : completionTokens;
    this.#tokens = this.#tokensBefore + own;
    if (!this.#isContinuing) this.#promptTokens = promptTokens;
    else if (promptTokens !== undefined) this.#promptTokens ??= Math.max(0, promptTokens - this.#tokensBefore);
    this.#usage = { promptTokens: this.#promptTokens, completionTokens: this.#tokens, cachedTokens };
    return true;
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

/** The member asks for something: `logprobs: false` and `response_format: {"type": "text"}` do not. */
function isAsked(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0) return false;
  return !(isJsonObject(value) && numberField(value, "type") === undefined && value["type"] === "text");
}
