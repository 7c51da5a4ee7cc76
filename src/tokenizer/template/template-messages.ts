import type { TextForm } from "../../protocol/chat-form.ts";
import { GatewayError } from "../../errors/errors.ts";
import { isRecord, type AnyRecord } from "../../util/objects.ts";
import { dictFromText } from "../jinja/from-json.ts";
import type { RoleContent } from "./template-probe.ts";

/** How a template takes messages, as far as the gateway adapts them. */
export interface MessageTraits {
  /** The content for an assistant's message without text. */
  readonly emptyContent: () => string | null;
  readonly loopsOverContent: boolean;
  readonly takesDeveloper: () => boolean;
  /** Whether it takes the arguments of calls as a string. */
  readonly wantsArgumentText: () => boolean;
  readonly contentOf: (role: string) => RoleContent;
}

/** Names of the reasoning of an earlier answer. Clients use one of them, and templates look for any of them. */
const REASONING_FIELDS = ["reasoning_content", "thinking", "reasoning"];
/** Templates' names for the types of parts of the OpenAI API. */
const PART_TYPES: Readonly<Record<string, string>> = {
  input_text: "text",
  output_text: "text",
  image_url: "image",
  input_image: "image",
  input_audio: "audio",
  audio_url: "audio",
  video_url: "video",
};

/**
 * Copies messages into the form that a template takes: roles that it knows, content as parts or as one string, arguments of tool
 * calls as objects, reasoning under each of its names. Throws `invalid_request` for a part that the template cannot take.
 */
export function prepareMessages(messages: readonly AnyRecord[], traits: MessageTraits, form: TextForm): AnyRecord[] {
  const prepared = messages.map((message, index) => prepareMessage(message, index, traits, form));
  const isChanged = messages.some(({ role }, index) => role !== prepared[index]?.["role"]);
  return form.gathersSystem && isChanged ? gatherSystem(prepared) : prepared;
}

/** Makes one message of all that are the system's, and puts it first. */
function gatherSystem(messages: readonly AnyRecord[]): AnyRecord[] {
  const own = messages.filter(({ role }) => role === "system");
  if (own.length === 1 && own[0] === messages[0]) return [...messages];
  const texts = own.map(({ content }) => wholeText(content)).filter((text) => text !== "");
  return [{ role: "system", content: texts.join("\n\n") }, ...messages.filter(({ role }) => role !== "system")];
}

function wholeText(content: unknown): string {
  const parts: readonly unknown[] = Array.isArray(content) ? content : [{ text: content }];
  return parts.map((part) => (isRecord(part) && typeof part["text"] === "string" ? part["text"] : "")).join("\n");
}

function prepareMessage(message: AnyRecord, index: number, traits: MessageTraits, form: TextForm): AnyRecord {
  const prepared: AnyRecord = { ...aliasReasoning(message) };
  const { content, tool_calls: calls } = message;
  if (message["role"] === "developer" && !traits.takesDeveloper()) prepared["role"] = "system";
  const role = String(prepared["role"]);
  if (Array.isArray(content)) {
    const parts = content.map(readPart).filter((part) => form.keepsEmptyParts || !isEmpty(part));
    const isList = traits.contentOf(role).takesParts && !(role === "tool" && form.joinsResults);
    prepared["content"] = isList ? parts : joinText(parts, index, form.separator);
  } else if (typeof content === "string" && traits.loopsOverContent && !traits.contentOf(role).takesStrings) {
    prepared["content"] = [{ type: "text", text: content }];
  } else if (role === "assistant" && (content ?? null) === null) {
    // The API omits content or sets it to null. Most templates treat both as empty; some test for none.
    prepared["content"] = form.keepsNone ? traits.emptyContent() : "";
  }
  if (Array.isArray(calls)) {
    const isText = calls.length > 0 && traits.wantsArgumentText();
    prepared["tool_calls"] = calls.map((call) => readCall(call, isText, form));
  }
  return prepared;
}

function aliasReasoning(message: AnyRecord): AnyRecord {
  const name = REASONING_FIELDS.find((field) => message[field] !== undefined && message[field] !== null);
  if (name === undefined) return message;
  const reasoning = message[name];
  return {
    ...Object.fromEntries(REASONING_FIELDS.map((field) => [field, message[field] ?? reasoning])),
    ...withoutNulls(message),
  };
}

function withoutNulls(message: AnyRecord): AnyRecord {
  const entries = Object.entries(message).filter(([key, value]) => value !== null || !REASONING_FIELDS.includes(key));
  return Object.fromEntries(entries);
}

function readPart(part: unknown): unknown {
  if (typeof part === "string") return { type: "text", text: part };
  if (!isRecord(part)) return part;
  const type = PART_TYPES[String(part["type"])];
  return type === undefined ? part : { ...part, type };
}

function isEmpty(part: unknown): boolean {
  return isRecord(part) && part["text"] === "";
}

function joinText(parts: readonly unknown[], index: number, separator: string): string {
  const texts = parts.map((part) => {
    const text = isRecord(part) ? part["text"] : undefined;
    if (typeof text === "string") return text;
    throw new GatewayError("invalid_request", "this model takes text only", { param: `messages[${index}].content` });
  });
  return texts.join(separator);
}

function readCall(call: unknown, isText: boolean, form: TextForm): unknown {
  const called = isRecord(call) ? call["function"] : undefined;
  if (!isRecord(call) || !isRecord(called)) return call;
  const args = called["arguments"];
  const prepared = isText ? argumentText(args) : readArguments(args);
  return form.callOf(call, { ...called, arguments: prepared });
}

function argumentText(value: unknown): string {
  if (typeof value === "string") return value.trim() === "" ? "{}" : value;
  return JSON.stringify(value ?? {});
}

/** Parses arguments into the object that templates expect. Other text stays the string that the model wrote. */
function readArguments(value: unknown): unknown {
  if (typeof value !== "string") return value ?? {};
  return value.trim() === "" ? {} : (dictFromText(value) ?? value);
}
