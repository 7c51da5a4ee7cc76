import type { JsonFields } from "../json/json-fields.ts";
import { notText } from "../openai/text-content.ts";

export type TextPart = { readonly type: "text"; readonly text: string };

/** Reads content: a string, or a list of text blocks; undefined where there is none. Throws invalid_request for other blocks. */
export function readTextBlocks(fields: JsonFields, name: string): string | TextPart[] | undefined {
  const content = fields.value(name);
  if (content === undefined || typeof content === "string") return content;
  return fields.objects(name)?.map(readText);
}

/** Reads a block as text; a document gives its plain text, and a search result what was found. Throws invalid_request for pictures and other kinds. */
export function readText(block: JsonFields): TextPart {
  const type = block.requiredString("type");
  if (type === "document") return { type: "text", text: readDocument(block) };
  if (type === "search_result") return { type: "text", text: readSearchResult(block) };
  if (type !== "text") throw notText(block);
  return { type: "text", text: requiredText(block, "text") };
}

/** Reads a search result, with its title and source before its text. */
function readSearchResult(block: JsonFields): string {
  const content = readTextBlocks(block, "content");
  if (!Array.isArray(content)) throw block.error("content", "must be a list of text blocks");
  const texts = content.map(({ text }) => text);
  return [requiredText(block, "title"), requiredText(block, "source"), ...texts].join("\n");
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
