import type { JsonFields } from "./json/json-fields.ts";

type Kwargs = Readonly<Record<string, unknown>>;

/** Templates have one name or the other for it. */
export function thinking(isOn: boolean): Kwargs {
  return { enable_thinking: isOn, thinking: isOn };
}

/** How much to reason, as templates take it; `none` and `minimal` turn it off. */
export function effort(level: unknown): Kwargs {
  if (level === undefined) return {};
  return { reasoning_effort: level, ...(level === "none" || level === "minimal" ? thinking(false) : {}) };
}

/** `chat_template_kwargs`; they go before what the API says in its own way. */
export function templateKwargs(fields: JsonFields, own: Kwargs): Kwargs {
  return { ...own, ...fields.object("chat_template_kwargs")?.json };
}
