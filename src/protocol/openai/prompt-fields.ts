import { type JsonFields, isIds } from "../json/json-fields.ts";
import type { Prompt } from "../generation.ts";

/** Prompts that one request may have. */
const MAX_PROMPTS = 2048;

/** Reads `prompt` or `input`: a text, a list of token ids, or a list of either. */
export function readPrompts(fields: JsonFields, name: string, addSpecialTokens: boolean): readonly Prompt[] {
  const value = fields.value(name);
  if (typeof value === "string") return [{ kind: "text", text: value, addSpecialTokens }];
  const list = fields.list(name);
  if (!list || list.length === 0)
    throw fields.error(name, "must be a string, a list of token ids, or a list of either");
  if (isIds(list)) return [{ kind: "ids", ids: list }];
  if (list.length > MAX_PROMPTS) throw fields.error(name, `must have at most ${MAX_PROMPTS} prompts`);
  return list.map((entry, index): Prompt => {
    if (typeof entry === "string") return { kind: "text", text: entry, addSpecialTokens };
    if (Array.isArray(entry) && entry.length > 0 && isIds(entry)) return { kind: "ids", ids: entry };
    throw fields.error(`${name}[${index}]`, "must be a string or a list of token ids");
  });
}
