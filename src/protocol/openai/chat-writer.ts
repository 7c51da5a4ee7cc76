import { type Answer, AnswerCollector, type CallBlock, callsOf, endReason, textOf, UsageTally } from "../answers.ts";
import type { AnswerHead, AnswerPart, AnswerWriter, OutputPiece } from "../generation.ts";
import type { JsonObject } from "../json/json.ts";
import { logprobEntries, promptLogprobEntries } from "./logprobs.ts";
import type { StreamOptions } from "./stream-options.ts";
import { usageBlock } from "./usage-block.ts";

interface ChatOptions extends StreamOptions {
  readonly answersPerPrompt: number;
  /** Id of the answer that the client chose itself; undefined where it chose none. */
  readonly id: string | undefined;
  /** The beginning of the answer that the client wrote and asks to be repeated. */
  readonly echoText: string;
}

/** What the writer knows of one answer of a stream. */
interface Choice {
  /** The bytes of an event with content before and behind its text. Only the text is made anew for each such event. */
  readonly before: string;
  readonly after: string;
  hasCalls: boolean;
}

/** Writes answers of `/v1/chat/completions`. */
export class ChatWriter implements AnswerWriter {
  readonly #id: string;
  readonly #head: AnswerHead;
  readonly #options: ChatOptions;
  readonly #usage: UsageTally;
  readonly #answers = new AnswerCollector();
  readonly #choices: (Choice | undefined)[] = [];
  /** The text that every event begins with. */
  readonly #opening: string;

  constructor(head: AnswerHead, options: ChatOptions) {
    this.#id = options.id ?? `chatcmpl-${head.requestId}`;
    this.#head = head;
    this.#options = options;
    this.#usage = new UsageTally(options.answersPerPrompt);
    const members = { id: this.#id, object: "chat.completion.chunk", created: head.created, model: head.model };
    this.#opening = `data: ${JSON.stringify(members).slice(0, -1)},"choices":[`;
  }

  part(part: AnswerPart): string {
    this.#usage.add(part);
    if (!this.#options.isStream) {
      this.#answers.add(part);
      return "";
    }
    const { pieces, finish } = part;
    const choice = this.#choices[part.index];
    const [piece] = pieces;
    if (choice && pieces.length === 1 && piece?.kind === "content" && !finish && !part.logprobs) {
      if (!this.#options.continuousUsage) return choice.before + JSON.stringify(piece.text) + choice.after;
    }
    return this.#events(part, choice);
  }

  end(): string {
    if (!this.#options.includeUsage) return "data: [DONE]\n\n";
    return `${this.#opening}],"usage":${JSON.stringify(usageBlock(this.#usage.total))}}\n\ndata: [DONE]\n\n`;
  }

  whole(): string {
    const { created, model } = this.#head;
    const { answers } = this.#answers;
    const prompt = answers.find(({ promptLogprobs }) => promptLogprobs)?.promptLogprobs;
    return JSON.stringify({
      id: this.#id,
      object: "chat.completion",
      created,
      model,
      choices: answers.map((answer) => wholeChoice(answer, this.#options.echoText)),
      usage: usageBlock(this.#usage.total),
      ...(prompt ? { prompt_logprobs: promptLogprobEntries(prompt) } : {}),
    });
  }

  #events(part: AnswerPart, known: Choice | undefined): string {
    const { index, pieces, finish } = part;
    const choice = known ?? this.#begin(index);
    const usage = this.#options.continuousUsage ? JSON.stringify(usageBlock(part.counts)) : "null";
    let logprobs =
      part.logprobs && part.logprobs.length > 0 ? { content: logprobEntries(part.logprobs), refusal: null } : null;
    let events = "";
    if (!known) events += this.#event(index, { role: "assistant", content: this.#options.echoText }, usage);
    for (const piece of pieces) {
      if (piece.kind === "tool_call") choice.hasCalls = true;
      events += this.#event(index, deltaOf(piece), usage, logprobs);
      logprobs = null;
    }
    if (finish) {
      events += this.#event(index, {}, usage, logprobs, endReason(finish, choice.hasCalls), stopReason(finish));
    } else if (logprobs) {
      // The engine has generated these tokens, though their text is held back.
      events += this.#event(index, { content: "" }, usage, logprobs);
    }
    return events;
  }

  #begin(index: number): Choice {
    const before = `${this.#opening}{"index":${index},"delta":{"content":`;
    const choice = { before, after: `},"logprobs":null,"finish_reason":null}]${this.#tail("null")}`, hasCalls: false };
    this.#choices[index] = choice;
    return choice;
  }

  #event(
    index: number,
    delta: object,
    usage: string,
    logprobs: object | null = null,
    finish: string | null = null,
    extra: object = {},
  ): string {
    const choice = JSON.stringify({ index, delta, logprobs, finish_reason: finish, ...extra });
    return `${this.#opening}${choice}]${this.#tail(usage)}`;
  }

  /** The usage member of an event. No event has it where the client did not ask for usage. */
  #tail(usage: string): string {
    return this.#options.includeUsage ? `,"usage":${usage}}\n\n` : "}\n\n";
  }
}

/** The delta that tells of a piece. */
export function deltaOf(piece: OutputPiece): JsonObject {
  switch (piece.kind) {
    case "content":
      return { content: piece.text };
    case "reasoning":
      return { reasoning_content: piece.text };
    case "tool_call": {
      const { index, id, name } = piece;
      return { tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] };
    }
    case "tool_arguments":
      return { tool_calls: [{ index: piece.index, function: { arguments: piece.text } }] };
  }
}

/** vLLM's `stop_reason`: the stop string or token that ended the answer. An answer that ended by itself does not have the member. */
export function stopReason({ matched }: NonNullable<AnswerPart["finish"]>): object {
  return matched === undefined ? {} : { stop_reason: matched };
}

function wholeChoice({ index, blocks, logprobs, finish }: Answer, echoText: string): object {
  const calls = callsOf(blocks);
  const reasoning = textOf(blocks, "reasoning");
  const content = echoText + (textOf(blocks, "content") ?? "");
  return {
    index,
    message: {
      role: "assistant",
      content: content === "" && calls.length > 0 ? null : content,
      refusal: null,
      ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls.map(wholeCall) }),
    },
    logprobs: logprobs.length > 0 ? { content: logprobEntries(logprobs), refusal: null } : null,
    finish_reason: finish ? endReason(finish, calls.length > 0) : null,
    ...(finish ? stopReason(finish) : {}),
  };
}

/** A call as the message of a whole answer has it. */
export function wholeCall({ id, name, arguments: args }: Pick<CallBlock, "id" | "name" | "arguments">): object {
  return { id, type: "function", function: { name, arguments: args } };
}
