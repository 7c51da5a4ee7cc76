import type { JsonFields } from "../json/json-fields.ts";
import { notText } from "../openai/text-content.ts";

export type TextPart = { readonly type: "text"; readonly text: string };

/** Reads content: a string, or a list of text blocks; undefined where there is none. Throws invalid_request for other blocks. */
export function readTextBlocks(fields: JsonFields, name: string): string | TextPart[] | undefined {
  const content = fields.value(name);
  if (content === undefined || typeof content === "string") return content;
  return fields.objects(name)?.map(readText);
}

/** Reads a block as text; a document gives its plain text. Throws invalid_request for pictures and other kinds. */
export function readText(block: JsonFields): TextPart {
  const type = block.requiredString("type");
  if (type === "document") return { type: "text", text: readDocument(block) };
  if (type !== "text") throw notText(block);
  return { type: "text", text: requiredText(block, "text") };
}

/** Reads a document, with its title and context before its text. */
function readDocument(block: JsonFields): string {
  const source = block.object("source");
  if (!source) throw block.error("source", "must be an object");
  const before = [block.string("title"), block.string("context")].filter((line) => line !== undefined && line !== "");
  return [...before, readSource(source, block)].join("\n");
}

function readSource(source: JsonFields, block: JsonFields): string {
  const type = source.requiredString("type");
  if (type === "text") return requiredText(source, "data");
  if (type !== "content") throw notText(block);
  const content = readTextBlocks(source, "content");
  if (content === undefined) throw source.error("content", "must be a string or a list of blocks");
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}

function requiredText(fields: JsonFields, name: string): string {
  const text = fields.string(name);
  if (text === undefined) throw fields.error(name, "must be a string");
  return text;
}
