import type { OutputParserOptions } from "../../parser/create-output-parser.ts";
import { parseWhole, type WholeOutput } from "../../parser/parse-whole.ts";
import { isJsonObject, type JsonObject, objectField, stringField } from "../../protocol/json/json.ts";
import { wholeCall } from "../../protocol/openai/chat-writer.ts";
import { eachEntry, splice } from "../../protocol/json/splice.ts";
import { finishReasonOf, isParsed } from "./parsed-choice.ts";
import { OPEN_BRACKET } from "../../util/ascii.ts";

/** Parses the text of each choice in a complete answer; all other bytes stay. */
export function parsedAnswer(body: Uint8Array, options: OutputParserOptions): Uint8Array {
  return splice(body, ["choices"], (choices) =>
    choices?.[0] === OPEN_BRACKET ? eachEntry(choices, (choice) => parsedChoice(choice, options)) : undefined,
  );
}

function parsedChoice(json: Uint8Array, options: OutputParserOptions): Uint8Array {
  const choice: unknown = JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString("utf8"));
  const message = isJsonObject(choice) ? objectField(choice, "message") : undefined;
  const text = message && stringField(message, "content");
  if (!isJsonObject(choice) || !message || text === undefined || isParsed(message)) return json;
  const output = parseWhole(text, options);
  const hasCalls = output.toolCalls.length > 0;
  if (output.content === text && output.reasoning === "" && !hasCalls) return json;
  const parsed = splice(json, ["message"], () => JSON.stringify(parsedMessage(message, output)));
  const finishReason = finishReasonOf(choice, hasCalls);
  return finishReason === undefined ? parsed : splice(parsed, ["finish_reason"], () => JSON.stringify(finishReason));
}

function parsedMessage(message: JsonObject, { content, reasoning, toolCalls }: WholeOutput): JsonObject {
  const hasCalls = toolCalls.length > 0;
  return {
    ...message,
    content: content === "" && hasCalls ? null : content,
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(hasCalls ? { tool_calls: toolCalls.map(wholeCall) } : {}),
  };
}
