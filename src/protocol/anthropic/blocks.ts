import type { JsonFields } from "../json/json-fields.ts";
import { notText } from "../openai/text-content.ts";

export type TextPart = { readonly type: "text"; readonly text: string };

/** Content that is a string or a list of blocks, all of which are text; undefined where there is none. Throws invalid_request. */
export function readTextBlocks(fields: JsonFields, name: string): string | TextPart[] | undefined {
  const content = fields.value(name);
  if (content === undefined || typeof content === "string") return content;
  return fields.objects(name)?.map(readText);
}

/** A block as text: what it says, or the plain text of a document. Throws invalid_request for pictures and the like. */
export function readText(block: JsonFields): TextPart {
  const type = block.requiredString("type");
  if (type === "document") return { type: "text", text: readDocument(block) };
  if (type !== "text") throw notText(block);
  return { type: "text", text: requiredText(block, "text") };
}

/** The title and what the client says of the document stand before it. */
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
