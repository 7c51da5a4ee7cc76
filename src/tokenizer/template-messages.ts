import { GatewayError } from "../errors/errors.ts";
import { isRecord, type AnyRecord } from "../util/objects.ts";
import { isNode, walk, type TemplateNode } from "./template-program.ts";

/** Whether a template takes the content of a message as one string, or goes through its parts. */
export type ContentFormat = "string" | "parts";

/** Names under which the reasoning of an earlier answer comes. */
const REASONING_FIELDS = ["reasoning_content", "thinking", "reasoning"];
/** What templates call the kinds of parts of the OpenAI API. */
const PART_TYPES: Readonly<Record<string, string>> = {
  input_text: "text",
  output_text: "text",
  image_url: "image",
  input_image: "image",
  input_audio: "audio",
  audio_url: "audio",
  video_url: "video",
};

/** `parts` where some loop of the template goes through the content of a message. */
export function detectContentFormat(program: unknown): ContentFormat {
  const aliases = new Set(["content"]);
  let format: ContentFormat = "string";
  const isContent = (node: unknown): boolean => {
    if (!isNode(node)) return false;
    if (node.type === "Identifier") return aliases.has(String(node["value"]));
    if (node.type === "FilterExpression") return isContent(node["operand"]);
    const property = node.type === "MemberExpression" ? node["property"] : undefined;
    return isNode(property) && property["value"] === "content";
  };
  const visit = (node: TemplateNode): void => {
    const { assignee, iterable } = node;
    if (node.type === "Set" && isNode(assignee) && isContent(node["value"])) aliases.add(String(assignee["value"]));
    const source = isNode(iterable) && iterable.type === "SelectExpression" ? iterable["lhs"] : iterable;
    if (node.type === "For" && isContent(source)) format = "parts";
  };
  if (isNode(program)) walk(program, visit);
  return format;
}

/**
 * Messages as templates take them: parts or one string, arguments of tool calls as objects, reasoning under each of its names.
 * The messages that come in are left as they are. Throws `invalid_request` for a part that the template has no place for.
 */
export function prepareMessages(messages: readonly AnyRecord[], format: ContentFormat): AnyRecord[] {
  return messages.map((message, index) => {
    const prepared: AnyRecord = { ...aliasReasoning(message) };
    const { content, tool_calls: calls } = message;
    if (Array.isArray(content)) {
      const parts = content.map(readPart);
      prepared["content"] = format === "parts" ? parts : joinText(parts, index);
    }
    if (Array.isArray(calls)) {
      prepared["tool_calls"] = calls.map(readCall);
      // Templates ask whether it is none.
      prepared["content"] ??= null;
    }
    return prepared;
  });
}

function aliasReasoning(message: AnyRecord): AnyRecord {
  const reasoning = REASONING_FIELDS.map((field) => message[field]).find(
    (value) => value !== undefined && value !== null,
  );
  return reasoning === undefined ? message : { thinking: reasoning, ...message, reasoning_content: reasoning };
}

function readPart(part: unknown): unknown {
  if (typeof part === "string") return { type: "text", text: part };
  if (!isRecord(part)) return part;
  const type = PART_TYPES[String(part["type"])];
  return type === undefined ? part : { ...part, type };
}

function joinText(parts: readonly unknown[], index: number): string {
  const texts = parts.map((part) => {
    const text = isRecord(part) ? part["text"] : undefined;
    if (typeof text === "string") return text;
    throw new GatewayError("invalid_request", "this model takes text only", { param: `messages[${index}].content` });
  });
  return texts.join("\n");
}

function readCall(call: unknown): unknown {
  const called = isRecord(call) ? call["function"] : undefined;
  if (!isRecord(call) || !isRecord(called)) return call;
  return { ...call, function: { ...called, arguments: readArguments(called["arguments"]) } };
}

/** The object that the string is, as templates expect; what is no object stays the string that the model wrote. */
function readArguments(value: unknown): unknown {
  if (typeof value !== "string") return value ?? {};
  if (value.trim() === "") return {};
  try {
    const parsed: unknown = JSON.parse(value);
    return isRecord(parsed) ? parsed : value;
  } catch {
    // Models write such things, and clients send them back.
    return value;
  }
}
