import type { JsonFields } from "./json/json-fields.ts";

export type Kwargs = Readonly<Record<string, unknown>>;

/** Turns thinking on or off under both names that templates use. */
export function thinking(isOn: boolean): Kwargs {
  return { enable_thinking: isOn, thinking: isOn };
}

/** The effort of reasoning for templates; `none` and `minimal` turn thinking off. */
export function effort(level: unknown): Kwargs {
  if (level === undefined) return {};
  return { reasoning_effort: level, ...(level === "none" || level === "minimal" ? thinking(false) : {}) };
}

/** Variables for the chat template: those of `chat_template_kwargs`, and `own`, which the API's other members say. The former win. */
export function templateKwargs(fields: JsonFields, own: Kwargs): Kwargs {
  return { ...own, ...fields.object("chat_template_kwargs")?.json };
}
