import { withoutBillingLine } from "../billing-line.ts";
import type { JsonFields } from "../json/json-fields.ts";
import type { JsonObject } from "../json/json.ts";
import { readCallArguments } from "./call-arguments.ts";
import { readTextContent, type TextContent, type TextParts } from "./text-content.ts";

type Message = Readonly<Record<string, unknown>>;

const PARTS: TextParts = new Map([
  ["input_text", "text"],
  ["output_text", "text"],
  ["text", "text"],
  ["refusal", "refusal"],
]);
const REASONING: TextParts = new Map([
  ["reasoning_text", "text"],
  ["summary_text", "text"],
]);
const ROLES = ["system", "developer", "user", "assistant"] as const;

/** Reads `instructions` and `input` as a conversation. The several items of one model turn become one message. */
export function readInput(fields: JsonFields): Message[] {
  const instructions = fields.string("instructions");
  const conversation = new Conversation();
  if (instructions !== undefined) conversation.add({ role: "system", content: withoutBillingLine(instructions) });
  const input = fields.value("input");
  if (typeof input === "string") {
    conversation.add({ role: "user", content: input });
  } else {
    const items = fields.objects("input");
    if (!items || items.length === 0) throw fields.error("input", "must be a string or a list of at least one item");
    for (const item of items) readItem(item, conversation);
  }
  return conversation.end();
}

function readItem(item: JsonFields, conversation: Conversation): void {
  const type = item.string("type") ?? (item.has("role") ? "message" : "");
  switch (type) {
    case "message":
      return readMessage(item, conversation);
    case "reasoning":
      return conversation.reason(readReasoning(item));
    case "function_call":
      return conversation.call({
        id: item.requiredString("call_id"),
        type: "function",
        function: { name: item.requiredString("name"), arguments: readCallArguments(item) },
      });
    case "function_call_output": {
      const content = readTextContent(item, "output", PARTS);
      if (content === undefined) throw item.error("output", "must be a string or a list of parts");
      return conversation.add({ role: "tool", tool_call_id: item.requiredString("call_id"), content });
    }
    case "item_reference":
      throw item.notBuilt("type", "items cannot be referred to: responses are not stored");
    default:
      throw item.notBuilt("type", `items of type ${type === "" ? "(none)" : type} are not supported`);
  }
}

function readMessage(item: JsonFields, conversation: Conversation): void {
  const role = item.oneOf("role", ROLES);
  if (role === undefined) throw item.error("role", `must be one of ${ROLES.join(", ")}`);
  const content = readTextContent(item, "content", PARTS);
  if (content === undefined) throw item.error("content", "must be a string or a list of parts");
  if (role === "assistant") conversation.say(content);
  else conversation.add({ role, content });
}

/** Reads a reasoning item: its text if it has one, otherwise its summary. */
function readReasoning(item: JsonFields): string {
  const content = readTextContent(item, "content", REASONING) ?? "";
  const own = joined(content);
  return own === "" ? joined(readTextContent(item, "summary", REASONING) ?? "") : own;
}

function joined(content: TextContent): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}

/** Builds the messages; a turn of the model is reasoning, then text, then calls. */
class Conversation {
  readonly #messages: Message[] = [];
  #reasoning: string | undefined;
  #content: TextContent | undefined;
  #calls: JsonObject[] = [];

  add(message: Message): void {
    this.#flush();
    this.#messages.push(message);
  }

  reason(text: string): void {
    if (this.#content !== undefined || this.#calls.length > 0) this.#flush();
    this.#reasoning = (this.#reasoning ?? "") + text;
  }

  say(content: TextContent): void {
    if (this.#content !== undefined || this.#calls.length > 0) this.#flush();
    this.#content = content;
  }

  call(call: JsonObject): void {
    this.#calls.push(call);
  }

  end(): Message[] {
    this.#flush();
    return this.#messages;
  }

  #flush(): void {
    const hasCalls = this.#calls.length > 0;
    if (this.#content !== undefined || hasCalls || (this.#reasoning ?? "") !== "") {
      this.#messages.push({
        role: "assistant",
        content: this.#content ?? (hasCalls ? null : ""),
        ...((this.#reasoning ?? "") === "" ? {} : { reasoning_content: this.#reasoning }),
        ...(hasCalls ? { tool_calls: this.#calls } : {}),
      });
    }
    this.#reasoning = undefined;
    this.#content = undefined;
    this.#calls = [];
  }
}
