/** A selector of labels as a list of terms, such as `app=vllm`; empty: everything. */
export type LabelSelector = readonly string[];

const NAME = String.raw`[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?`;
const KEY = String.raw`([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?${NAME}`;
/** `key=value`, `key==value`, `key!=value`, `key` and `!key` (kubernetes.io, "Labels and Selectors"); sets have commas, which lists do not. */
const TERM = new RegExp(`^(${KEY}(==?|!=)(${NAME})?|!?${KEY})$`);

export function isSelectorTerm(text: string): boolean {
  return TERM.test(text);
}

/** The query parameter of the API. */
export function selectorQuery(selector: LabelSelector): Readonly<Record<string, string>> {
  return selector.length === 0 ? {} : { labelSelector: selector.join(",") };
}
