import { isJsonObject, type JsonObject } from "../protocol/json/json.ts";

const NO_BYTES = new Uint8Array(0);
/** Stands between the parts of a prompt: the same text cut into other messages is another prompt. */
const SEPARATOR = "\u001e";

/*
 * These functions make bytes of the prompt of a request: equal prompts give equal bytes, and prompts that begin alike give
 * bytes that begin alike. Text becomes UTF-8; a token id becomes four bytes, the lowest first.
 */

/** Prompt of a chat: tools, then the role and text of each message, in the order in which chat templates render them. */
export function chatPrompt(body: JsonObject): Uint8Array {
  const tools = body["tools"];
  let text = Array.isArray(tools) && tools.length > 0 ? `${JSON.stringify(tools)}${SEPARATOR}` : "";
  const system = body["system"];
  if (system !== undefined) text += `system\n${contentText(system)}${SEPARATOR}`;
  const messages = body["messages"];
  if (Array.isArray(messages)) {
    for (const message of messages) text += messageText(message);
  }
  return Buffer.from(text);
}

/** Prompts of a completion or of SGLang's `/generate`. `value` is a string, a list of token ids, or a list of either. */
export function batchPrompts(value: unknown): readonly Uint8Array[] {
  const isBatch = Array.isArray(value) && value.length > 0 && typeof value[0] !== "number";
  return isBatch ? value.map(promptValue) : [promptValue(value)];
}

/** Prompt of one of several samples. Each index but 0 makes a prompt of its own, so that the samples differ. */
export function samplePrompt(prompt: Uint8Array, index: number): Uint8Array {
  return index === 0 ? prompt : Buffer.concat([prompt, Buffer.from(`#${index}`)]);
}

/** Prompt of `/v1/responses`: `instructions`, then `input`, which is a string or a list of items. */
export function responsesPrompt(body: JsonObject): Uint8Array {
  const instructions = body["instructions"];
  let text = typeof instructions === "string" ? `system\n${instructions}${SEPARATOR}` : "";
  const input = body["input"];
  if (typeof input === "string") text += `user\n${input}${SEPARATOR}`;
  else if (Array.isArray(input)) for (const item of input) text += messageText(item);
  return Buffer.from(text);
}

function messageText(message: unknown): string {
  if (!isJsonObject(message)) return "";
  const role = typeof message["role"] === "string" ? message["role"] : "";
  const calls = message["tool_calls"];
  const called = Array.isArray(calls) ? JSON.stringify(calls) : "";
  return `${role}\n${contentText(message["content"])}${called}${SEPARATOR}`;
}

/** Text of a content. A part that is not text gives its JSON, so that another image makes another prompt. */
function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  let text = "";
  for (const part of content) {
    if (typeof part === "string") text += part;
    else if (isJsonObject(part)) text += typeof part["text"] === "string" ? part["text"] : JSON.stringify(part);
  }
  return text;
}

function promptValue(value: unknown): Uint8Array {
  if (typeof value === "string") return Buffer.from(value);
  if (!Array.isArray(value) || value.length === 0) return NO_BYTES;
  const [first] = value;
  if (typeof first === "number") return tokenBytes(value);
  return promptValue(first);
}

function tokenBytes(ids: readonly unknown[]): Uint8Array {
  const words = new Int32Array(ids.length);
  for (let index = 0; index < ids.length; index += 1) words[index] = Number(ids[index]);
  return new Uint8Array(words.buffer);
}
