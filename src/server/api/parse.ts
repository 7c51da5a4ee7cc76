import { clientClosed, GatewayError } from "../../errors/errors.ts";
import { parseInTurns } from "../../parser/parse-whole.ts";
import type { DeclaredTool } from "../../parser/output-parser.ts";
import { reasoningParserNamed, toolCallParserNamed } from "../../parser/parser-names.ts";
import { REASONING_PARSERS } from "../../parser/reasoning-parsers.ts";
import { TOOL_CALL_PARSERS } from "../../parser/tool-call-parsers.ts";
import { JsonFields } from "../../protocol/json/json-fields.ts";
import { wholeCall } from "../../protocol/openai/chat-writer.ts";
import { jsonAnswer } from "../../router/relay.ts";
import type { InferenceRequest } from "../../router/router.ts";
import type { Reply } from "../../transport/downstream.ts";
import { nextTurn } from "../../util/next-turn.ts";

/** Largest body, bytes. Answers of models have some hundred kB at most; the slowest parser needs a second for this size. */
const MAX_BODY_BYTES = 1024 * 1024;

type Asked = Pick<InferenceRequest, "endpoint" | "body" | "signal">;

/**
 * Finds calls and reasoning in a text that the client sends. It reads one text at a time, in steps; other work of the thread
 * runs between the steps.
 */
export class Parsing {
  #last: Promise<void> = Promise.resolve();

  /** Throws what `parse` throws. Settles the record. */
  async answer(request: InferenceRequest): Promise<Reply> {
    const reply = jsonAnswer(request, 200, Buffer.from(JSON.stringify(await this.parse(request))));
    request.record.settle(200);
    return reply;
  }

  /** Throws invalid_request, request_too_large, client_closed. */
  async parse({ endpoint, body, signal }: Asked): Promise<object> {
    if (body.bytes.length > MAX_BODY_BYTES) {
      throw new GatewayError("request_too_large", `the body is larger than ${MAX_BODY_BYTES} bytes`);
    }
    const fields = JsonFields.of(body);
    const work = endpoint.finds === "reasoning" ? readReasoning(fields) : readCalls(fields);
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = promise;
    await before;
    try {
      return await work(async () => {
        await nextTurn();
        if (signal.aborted) throw clientClosed(signal.reason);
      });
    } finally {
      resolve();
    }
  }
}

/** The parsing itself, with pauses. */
type Work = (pause: () => Promise<void>) => Promise<object>;

/** `{text, tool_call_parser, tools}`. */
function readCalls(fields: JsonFields): Work {
  const text = textOf(fields);
  const toolCalls = parserIn(fields, "tool_call_parser", TOOL_CALL_PARSERS, toolCallParserNamed);
  const tools = fields.objects("tools")?.map(toolOf) ?? [];
  return async (pause) => {
    const output = await parseInTurns(text, { toolCalls, tools }, pause);
    return { remaining_text: output.content, tool_calls: output.toolCalls.map(wholeCall), success: true };
  };
}

/** `{text, reasoning_parser}`. */
function readReasoning(fields: JsonFields): Work {
  const text = textOf(fields);
  const reasoning = parserIn(fields, "reasoning_parser", REASONING_PARSERS, reasoningParserNamed);
  return async (pause) => {
    const output = await parseInTurns(text, { reasoning, tools: [] }, pause);
    return { normal_text: output.content, reasoning_text: output.reasoning, success: true };
  };
}

function textOf(fields: JsonFields): string {
  const text = fields.string("text");
  if (text === undefined) throw fields.error("text", "must be a string");
  return text;
}

function parserIn<Name extends string>(
  fields: JsonFields,
  member: string,
  table: Readonly<Record<Name, unknown>>,
  named: (name: string) => Name | undefined,
): Name {
  // `parser` is SGLang's name of the member.
  const name = named(fields.string(member) ?? fields.string("parser") ?? "");
  if (name !== undefined) return name;
  throw fields.error(member, `must be one of ${Object.keys(table).join(", ")}`);
}

/** Reads a tool in the form of a chat request, or only its function. */
function toolOf(fields: JsonFields): DeclaredTool {
  const declared = fields.object("function") ?? fields;
  return { name: declared.requiredString("name"), parameters: declared.object("parameters")?.json };
}
