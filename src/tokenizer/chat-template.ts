import { asGatewayError, GatewayError } from "../errors/errors.ts";
import { OWN_FORM, type TextForm } from "../protocol/chat-form.ts";
import { isRecord, type AnyRecord } from "../util/objects.ts";
import { dictOf, fromJson } from "./jinja/from-json.ts";
import { createGlobals, TemplateRefusal } from "./jinja/globals.ts";
import { Interpreter } from "./jinja/interpreter.ts";
import { DEFAULT_BUDGET, Meter, type TemplateBudget, TemplateLimit } from "./jinja/meter.ts";
import type { Program } from "./jinja/nodes.ts";
import { parse } from "./jinja/parser.ts";
import { Scope } from "./jinja/scope.ts";
import type { Value } from "./jinja/values.ts";
import { strftime } from "./template/strftime.ts";
import { prepareMessages, type MessageTraits } from "./template/template-messages.ts";
import {
  emptyContent,
  probeContent,
  type RoleContent,
  showsDeveloper,
  wantsArgumentText,
} from "./template/template-probe.ts";
import { type TemplateTraits, traitsOf } from "./template/template-source.ts";
import { endsInReasoning, isWithinReasoning, type ThinkingSwitch } from "./template/thinking.ts";

/** A conversation to render, with the settings of the request. */
export interface TemplateInput {
  /** Messages in the shape of the OpenAI API. */
  readonly messages: readonly AnyRecord[];
  readonly tools?: readonly unknown[];
  readonly documents?: readonly unknown[];
  /** Whether the prompt ends where the assistant's answer begins. */
  readonly addGenerationPrompt: boolean;
  /** Whether the last message is an answer to be continued: the prompt ends with its text. */
  readonly continueFinalMessage?: boolean;
  /** `chat_template_kwargs`: further variables. They cannot replace those above. */
  readonly kwargs?: AnyRecord;
  /** How the content of messages comes to the template; the gateway's own way by default. */
  readonly textForm?: TextForm;
  /** The time for `strftime_now`. */
  readonly now?: Date;
}

/** The text of a rendered prompt. */
export interface RenderedPrompt {
  readonly text: string;
  /** Whether the prompt ends within reasoning, so that the answer's first token belongs to it. */
  readonly startsInReasoning: boolean;
}

interface Compiled {
  readonly program: Program;
  readonly traits: TemplateTraits;
}

/** Number of compiled templates in the cache; each takes some 100 KB. */
const MAX_COMPILED = 64;
/** Budget for probes, which are chats of two or three short messages. A template that needs more cannot be probed. */
const PROBE_BUDGET: TemplateBudget = { maxSteps: 100_000, maxChars: 262_144, maxMs: 1000 };
/** Number of roles in the cache of probes; there are five real roles. */
const MAX_ROLES = 16;
const CONTINUE_MARK = "CONTINUE_FINAL_MESSAGE_TAG ";
const compiled = new Map<string, Compiled>();

/**
 * A Jinja chat template with the rules of transformers. Rendering is synchronous (0.1 to 0.5 ms for a usual chat) and bounded
 * in steps, text and time.
 */
export class ChatTemplate {
  readonly #program: Program;
  readonly #traits: MessageTraits & TemplateTraits;
  readonly #namedTokens: Readonly<Record<string, string>>;
  readonly #budget: TemplateBudget;
  readonly #variable: ThinkingSwitch["variable"];
  readonly #contents = new Map<string, RoleContent>();
  #wantsArgumentText: boolean | undefined;
  #empty: string | null | undefined;
  #showsDeveloper: boolean | undefined;
  #thinking: ThinkingSwitch | undefined;

  private constructor(
    source: string,
    { program, traits }: Compiled,
    namedTokens: Readonly<Record<string, string>>,
    budget: TemplateBudget,
  ) {
    this.#program = program;
    this.#namedTokens = namedTokens;
    this.#budget = budget;
    this.#traits = {
      ...traits,
      contentOf: (role) => this.#contentOf(role),
      takesDeveloper: () => this.#takesDeveloper(),
      emptyContent: () => this.#emptyContent(),
      wantsArgumentText: () => this.#takesArgumentText(),
    };
    this.#variable = /\benable_thinking\b/.test(source)
      ? "enable_thinking"
      : // Not the field of a message.
        /(?<![.\w'"])thinking(?!['"\w])/.test(source.replaceAll(/\{#[\s\S]*?#\}/g, ""))
        ? "thinking"
        : undefined;
  }

  /**
   * `namedTokens` are variables such as `bos_token`. Parsed sources are kept, so compiling again costs little. Throws
   * `invalid_request` (param "chat_template") if the source is not a template.
   */
  static compile(
    source: string,
    namedTokens: Readonly<Record<string, string>> = {},
    budget: TemplateBudget = DEFAULT_BUDGET,
  ): ChatTemplate {
    const template = compiled.get(source) ?? compileSource(source);
    compiled.delete(source);
    compiled.set(source, template);
    const oldest = compiled.keys().next().value;
    if (compiled.size > MAX_COMPILED && oldest !== undefined) compiled.delete(oldest);
    return new ChatTemplate(source, template, namedTokens, budget);
  }

  /** Whether the template takes users' content as parts. It renders a chat each way once to find out. */
  get contentFormat(): "string" | "parts" {
    return this.#contentOf("user").takesParts ? "parts" : "string";
  }

  /** How a request turns thinking on and off, and the default. It renders a chat each way once to find out. */
  get thinking(): ThinkingSwitch {
    return (this.#thinking ??= this.#detectThinking());
  }

  /** Throws `invalid_request` with the template's own message; param is `messages` where the template cannot take them. */
  render(input: TemplateInput): RenderedPrompt {
    const messages = prepareMessages(messagesOf(input), this.#traits, input.textForm ?? OWN_FORM.text);
    if (input.continueFinalMessage !== true) {
      const text = this.#run(input, messages);
      return { text, startsInReasoning: input.addGenerationPrompt && endsInReasoning(text) };
    }
    if (input.addGenerationPrompt) throw refusal("a message cannot be continued and a new one begun");
    if ((input.messages.at(-1)?.["content"] ?? null) === null)
      throw refusal("the last message has no text to continue");
    const final = markFinal(messages);
    const text = cutAtMark(this.#run(input, messages), final);
    return { text, startsInReasoning: isWithinReasoning(final) };
  }

  #run(input: TemplateInput, messages: readonly AnyRecord[]): string {
    try {
      return this.#execute(input, messages);
    } catch (thrown) {
      throw templateError(thrown);
    }
  }

  #execute(input: TemplateInput, messages: readonly AnyRecord[], budget = this.#budget): string {
    const meter = new Meter(budget);
    const globals = createGlobals(meter, (format) => strftime(input.now ?? new Date(), format));
    const scope = new Scope(undefined, new Map([...this.#variables(input, messages), ...globals]));
    return new Interpreter(meter).statements.textOf(this.#program.body, scope);
  }

  /** The variables of a rendering. Those of the request cannot replace the template's own. */
  #variables(input: TemplateInput, messages: readonly AnyRecord[]): Map<string, Value> {
    const variables = new Map<string, Value>(Object.entries(this.#namedTokens));
    for (const [name, value] of dictOf(input.kwargs ?? {})) variables.set(String(name), value);
    variables.set("messages", fromJson(messages));
    variables.set("tools", fromJson(input.tools ?? null));
    variables.set("documents", fromJson(input.documents ?? null));
    return variables.set("add_generation_prompt", input.addGenerationPrompt);
  }

  /** Renders a small chat unchanged, to probe the template. */
  #probe(messages: readonly AnyRecord[], tools: readonly AnyRecord[]): string {
    const input = { messages, ...(tools.length > 0 ? { tools } : {}), addGenerationPrompt: false };
    return this.#execute(input, messages, PROBE_BUDGET);
  }

  #emptyContent(): string | null {
    if (!this.#traits.asksForNone) return "";
    return this.#empty === undefined ? (this.#empty = emptyContent((...chat) => this.#probe(...chat))) : this.#empty;
  }

  #takesDeveloper(): boolean {
    if (!this.#traits.knowsDeveloper) return false;
    return (this.#showsDeveloper ??= showsDeveloper((...chat) => this.#probe(...chat)));
  }

  #takesArgumentText(): boolean {
    return (this.#wantsArgumentText ??= wantsArgumentText((...chat) => this.#probe(...chat), this.#emptyContent()));
  }

  #contentOf(role: string): RoleContent {
    const known = this.#contents.get(role);
    if (known) return known;
    const content = probeContent((...chat) => this.#probe(...chat), role, this.#traits.loopsOverContent);
    // Clients may write any role.
    if (this.#contents.size < MAX_ROLES) this.#contents.set(role, content);
    return content;
  }

  #detectThinking(): ThinkingSwitch {
    const probe = (kwargs: AnyRecord): RenderedPrompt | undefined => {
      try {
        return this.render({ messages: [{ role: "user", content: "x" }], addGenerationPrompt: true, kwargs });
      } catch {
        // The template refuses even this chat, so it cannot be probed for thinking.
        return undefined;
      }
    };
    const plain = probe({});
    const variable = this.#variable;
    if (variable === undefined) return { variable, isOnByDefault: plain?.startsInReasoning ?? false };
    const on = probe({ [variable]: true })?.text;
    const off = probe({ [variable]: false })?.text;
    return on === off
      ? { variable: undefined, isOnByDefault: plain?.startsInReasoning ?? false }
      : { variable, isOnByDefault: plain?.text === on };
  }
}

/** The messages, of which the last one becomes the user's where the form says so. */
function messagesOf({ messages, textForm, addGenerationPrompt }: TemplateInput): readonly AnyRecord[] {
  const last = messages.at(-1);
  if (textForm?.givesLastAnswerToUser !== true || !addGenerationPrompt) return messages;
  if (last?.["role"] !== "assistant" || typeof last["content"] !== "string") return messages;
  return messages.with(messages.length - 1, { role: "user", content: last["content"] });
}

function compileSource(source: string): Compiled {
  try {
    const program = parse(source);
    return { program, traits: traitsOf(program) };
  } catch (cause) {
    const reason = cause instanceof RangeError ? "it is nested too deep" : String(cause);
    const message = `the chat template cannot be read: ${reason}`;
    throw new GatewayError("invalid_request", message, { param: "chat_template", cause });
  }
}

function refusal(message: string, cause?: unknown): GatewayError {
  return new GatewayError("invalid_request", message, { param: "messages", cause });
}

function templateError(thrown: unknown): GatewayError {
  if (thrown instanceof TemplateRefusal) return refusal(thrown.message, thrown);
  if (thrown instanceof TemplateLimit) return refusal(`the chat template wants too much: ${thrown.message}`, thrown);
  if (thrown instanceof RangeError) return refusal("the chat template wants too much: it is nested too deep", thrown);
  if (thrown instanceof Error) return refusal(`the chat template fails on these messages: ${thrown.message}`, thrown);
  return asGatewayError(thrown);
}

/** Puts a mark after the text of the last message, so that its end can be found in the prompt. Returns the text. */
function markFinal(messages: AnyRecord[]): string {
  const last = messages.at(-1);
  const content = last?.["content"];
  if (last && typeof content === "string") {
    last["content"] = content + CONTINUE_MARK;
    return content;
  }
  const parts: readonly unknown[] = Array.isArray(content) ? content : [];
  const at = parts.findLastIndex((part) => isRecord(part) && typeof part["text"] === "string");
  const part = parts[at];
  if (!last || !isRecord(part)) throw refusal("the last message has no text to continue");
  last["content"] = parts.with(at, { ...part, text: String(part["text"]) + CONTINUE_MARK });
  return String(part["text"]);
}

/** The prompt up to the mark. Where the template trims the text, white space at its end is removed too. */
function cutAtMark(prompt: string, final: string): string {
  const at = prompt.lastIndexOf(CONTINUE_MARK.trim());
  if (at < 0 || !prompt.includes(final.trim())) {
    throw refusal("the last message cannot be continued: the chat template leaves out a part of it");
  }
  return prompt.startsWith(CONTINUE_MARK, at) ? prompt.slice(0, at) : prompt.slice(0, at).trimEnd();
}
