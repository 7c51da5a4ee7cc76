import type { JsonFields } from "../json/json-fields.ts";
import type { JsonObject } from "../json/json.ts";
import { withoutBillingLine } from "../billing-line.ts";
import type { ChatForm } from "../chat-form.ts";
import { readText, readTextBlocks, type TextPart } from "./blocks.ts";

type Message = Readonly<Record<string, unknown>>;

/** Reads the system prompt and the conversation into OpenAI's shape. */
export function readMessageList(fields: JsonFields, form: ChatForm): Message[] {
  const messages = fields.objects("messages");
  if (!messages || messages.length === 0) throw fields.error("messages", "must be a list of at least one message");
  const system = readSystem(fields, form);
  const first: Message[] = system === undefined || system.length === 0 ? [] : [{ role: "system", content: system }];
  return [...first, ...messages.flatMap((message) => readMessage(message, form))];
}

function readSystem(fields: JsonFields, { systemSeparator }: ChatForm): string | TextPart[] | undefined {
  const system = readTextBlocks(fields, "system");
  if (system === undefined || typeof system === "string") return system && withoutBillingLine(system);
  // A block may consist of the billing line only.
  const blocks = system
    .map(({ type, text }) => ({ type, text: withoutBillingLine(text) }))
    .filter(({ text }, index) => text !== "" || system[index]?.text === "");
  return systemSeparator === undefined ? blocks : blocks.map(({ text }) => text).join(systemSeparator);
}

function readMessage(fields: JsonFields, form: ChatForm): Message[] {
  const role = fields.oneOf("role", ["user", "assistant", "system"]);
  if (role === undefined) throw fields.error("role", "must be one of user, assistant, system");
  if (!fields.has("content")) throw fields.error("content", "must be a string or a list of blocks");
  const text = fields.value("content");
  if (typeof text === "string") return [{ role, content: text }];
  const blocks = fields.objects("content") ?? [];
  return role === "assistant" ? [readAssistant(blocks)] : readUser(role, blocks, form);
}

/** Each tool result becomes a message; the text around them keeps its place, or comes behind them all. */
function readUser(role: string, blocks: readonly JsonFields[], { putsResultsFirst }: ChatForm): Message[] {
  const messages: Message[] = [];
  let texts: TextPart[] = [];
  const flush = (): void => {
    if (texts.length > 0) messages.push({ role, content: texts });
    texts = [];
  };
  for (const block of blocks) {
    if (typeOf(block) === "tool_result") {
      if (!putsResultsFirst) flush();
      messages.push(readToolResult(block));
    } else {
      texts.push(readText(block));
    }
  }
  flush();
  return messages;
}

function readToolResult(block: JsonFields): Message {
  const content = readTextBlocks(block, "content") ?? "";
  return { role: "tool", tool_call_id: block.requiredString("tool_use_id"), content };
}

function readAssistant(blocks: readonly JsonFields[]): Message {
  const texts: TextPart[] = [];
  const calls: JsonObject[] = [];
  let reasoning = "";
  for (const block of blocks) {
    switch (typeOf(block)) {
      case "tool_use":
        calls.push(readToolUse(block));
        break;
      case "thinking":
        reasoning += block.string("thinking") ?? "";
        break;
      case "redacted_thinking":
        // Redacted thinking is encrypted, and only its author can read it.
        break;
      default:
        texts.push(readText(block));
    }
  }
  return {
    role: "assistant",
    content: texts.length === 0 && calls.length > 0 ? null : texts,
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function readToolUse(block: JsonFields): JsonObject {
  const input = block.object("input");
  if (!input) throw block.error("input", "must be an object");
  const called = { name: block.requiredString("name"), arguments: input.json };
  return { id: block.requiredString("id"), type: "function", function: called };
}

function typeOf(block: JsonFields): string {
  return block.requiredString("type");
}
