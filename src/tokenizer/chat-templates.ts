import { GatewayError } from "../errors/errors.ts";
import { ChatTemplate } from "./chat-template.ts";

/** The chat templates of one model. Each is compiled at its first use. */
export class ChatTemplates {
  readonly #sources: ReadonlyMap<string, string>;
  /** Tokens that templates know by name: `bos_token` and others. */
  readonly #namedTokens: Readonly<Record<string, string>>;
  readonly #compiled = new Map<string, ChatTemplate>();
  readonly #isReplaced: boolean;

  /** `isReplaced`: the default one is not the model's own. */
  constructor(sources: ReadonlyMap<string, string>, namedTokens: Readonly<Record<string, string>>, isReplaced = false) {
    this.#sources = sources;
    this.#namedTokens = namedTokens;
    this.#isReplaced = isReplaced;
  }

  /** The same templates with another default one; these, where theirs was given with the tokenizer. */
  withDefault(source: string): ChatTemplates {
    if (this.#isReplaced) return this;
    return new ChatTemplates(new Map([...this.#sources, ["default", source]]), this.#namedTokens, true);
  }

  get names(): readonly string[] {
    return [...this.#sources.keys()];
  }

  /** Source of the model's template of this name; undefined where its files have none. */
  sourceOf(name: string): string | undefined {
    return this.#sources.get(name);
  }

  /**
   * The template of this name; without one, `tool_use` for chats with tools where the model has it, else the default. Throws
   * `invalid_request` where there is none.
   */
  get(options: { readonly name?: string; readonly hasTools?: boolean } = {}): ChatTemplate {
    const { name, hasTools = false } = options;
    const source = this.#sources.get(name ?? (hasTools && this.#sources.has("tool_use") ? "tool_use" : "default"));
    if (source !== undefined) return this.#compile(source);
    throw name === undefined
      ? new GatewayError("invalid_request", "this model has no chat template", { param: "messages" })
      : new GatewayError("invalid_request", `this model has no chat template ${JSON.stringify(name)}`, {
          param: "chat_template",
        });
  }

  #compile(source: string): ChatTemplate {
    const known = this.#compiled.get(source);
    if (known) return known;
    const template = ChatTemplate.compile(source, this.#namedTokens);
    this.#compiled.set(source, template);
    return template;
  }
}
