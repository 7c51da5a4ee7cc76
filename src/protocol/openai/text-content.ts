import { GatewayError } from "../../errors/errors.ts";
import type { JsonFields } from "../json/json-fields.ts";
import { isJsonObject } from "../json/json.ts";

/** Content for templates: a string, or text parts. */
export type TextContent = string | readonly { readonly type: "text"; readonly text: string }[];

/** Types of text parts, with the member that has the text. */
export type TextParts = ReadonlyMap<unknown, string>;

/** Text parts of the chat API. Engines also take the names that the Responses API has for them. */
export const CHAT_PARTS: TextParts = new Map([
  ["text", "text"],
  ["input_text", "text"],
  ["output_text", "text"],
  ["refusal", "refusal"],
]);

/** Reads the content of a message; undefined where it is absent. Throws invalid_request for a part that is not text. */
export function readTextContent(fields: JsonFields, name: string, parts: TextParts): TextContent | undefined {
  const content = fields.value(name);
  if (content === undefined || typeof content === "string") return content;
  if (!Array.isArray(content)) throw fields.error(name, "must be a string or a list of parts");
  const list: readonly unknown[] = content;
  fields.count(name, list.length);
  return list.map((part, index) => ({ type: "text", text: readPart(fields, `${name}[${index}]`, part, parts) }));
}

function readPart(fields: JsonFields, name: string, part: unknown, parts: TextParts): string {
  if (typeof part === "string") return part;
  if (!isJsonObject(part)) throw fields.error(name, "must be an object");
  const entry = fields.child(part, name);
  const member = parts.get(part["type"]);
  if (member === undefined) throw notText(entry);
  const text = entry.string(member);
  if (text === undefined) throw entry.error(member, "must be a string");
  return text;
}

/** The error for a part that is an image, a sound or another medium. */
export function notText({ json, path }: JsonFields): GatewayError {
  const type = typeof json["type"] === "string" ? `of type ${json["type"]}` : "without a type";
  const what = `${path} is ${type}: workers that are reached over gRPC take text only`;
  return new GatewayError("invalid_request", what, { param: path });
}
