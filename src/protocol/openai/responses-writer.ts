import { endReason } from "../answers.ts";
import type { AnswerHead, AnswerPart, AnswerWriter, OutputPiece, TextLogprob, TokenCount } from "../generation.ts";
import type { JsonObject } from "../json/json.ts";
import { logprobEntries } from "./logprobs.ts";
import { itemObject, type ItemStatus, type OutputItem, partObject } from "./responses-items.ts";

interface ResponsesOptions {
  readonly isStream: boolean;
  /** Members of the request that the response repeats. */
  readonly asked: JsonObject;
}

/**
 * Writes answers of `/v1/responses`. A whole answer is built like a stream, from the items of its events. Events are numbered
 * from 0.
 */
export class ResponsesWriter implements AnswerWriter {
  readonly #head: AnswerHead;
  readonly #options: ResponsesOptions;
  readonly #items: OutputItem[] = [];
  #open: OutputItem | undefined;
  /** The beginning of a text event of the open item, up to its text. */
  #opening = "";
  #counts: TokenCount | undefined;
  #finish: ReturnType<typeof endReason> | undefined;
  #number = 0;
  /** Log-probabilities of tokens whose text has not come yet. */
  #logprobs: TextLogprob[] = [];

  constructor(head: AnswerHead, options: ResponsesOptions) {
    this.#head = head;
    this.#options = options;
  }

  part({ pieces, logprobs, counts, finish }: AnswerPart): string {
    if (finish) this.#finish = endReason(finish, false);
    let events = this.#counts ? "" : this.#start();
    this.#counts = counts;
    if (logprobs) this.#logprobs.push(...logprobs);
    for (const piece of pieces) events += this.#piece(piece);
    return events;
  }

  end(): string {
    // An item that was cut is incomplete.
    const status = this.#status;
    const events = this.#close(status);
    return `${events}${this.#event(`response.${status}`, { response: this.#response(status) })}data: [DONE]\n\n`;
  }

  whole(): string {
    this.#close(this.#status);
    return JSON.stringify(this.#response(this.#status));
  }

  get #status(): "completed" | "incomplete" {
    return this.#finish === "length" || this.#finish === "content_filter" ? "incomplete" : "completed";
  }

  #start(): string {
    const response = this.#response("in_progress");
    return this.#event("response.created", { response }) + this.#event("response.in_progress", { response });
  }

  #piece(piece: OutputPiece): string {
    if (piece.kind === "tool_call") return this.#begin("call", piece.id, piece.name);
    if (piece.text === "") return "";
    const kind = piece.kind === "tool_arguments" ? "call" : piece.kind;
    const events = this.#open?.kind === kind ? "" : this.#begin(kind);
    if (this.#open) this.#open.text += piece.text;
    return events + this.#delta(kind, piece.text);
  }

  #delta(kind: OutputItem["kind"], text: string): string {
    let logprobs = "";
    if (kind === "content") {
      const entries = this.#logprobs.length === 0 ? [] : logprobEntries(this.#logprobs);
      this.#open?.logprobs.push(...this.#logprobs);
      logprobs = `,"logprobs":${JSON.stringify(entries)}`;
    }
    this.#logprobs = [];
    if (!this.#options.isStream) return "";
    return `${this.#opening}${JSON.stringify(text)}${logprobs},"sequence_number":${this.#next()}}\n\n`;
  }

  #begin(kind: OutputItem["kind"], callId = "", name = ""): string {
    let events = this.#close("completed");
    const outputIndex = this.#items.length;
    const id = `${PREFIXES[kind]}_${this.#head.requestId}_${outputIndex}`;
    const item: OutputItem = { kind, id, outputIndex, status: "in_progress", text: "", logprobs: [], callId, name };
    this.#items.push(item);
    this.#open = item;
    this.#opening = opening(item);
    events += this.#event("response.output_item.added", { output_index: outputIndex, item: itemObject(item) });
    return kind === "call"
      ? events
      : events + this.#event("response.content_part.added", { ...place(item), part: partObject(item) });
  }

  #close(status: ItemStatus): string {
    const item = this.#open;
    if (!item) return "";
    this.#open = undefined;
    item.status = status;
    const done = { output_index: item.outputIndex, item: itemObject(item) };
    return this.#textDone(item) + this.#event("response.output_item.done", done);
  }

  #textDone(item: OutputItem): string {
    const { text, name } = item;
    const at = place(item);
    if (item.kind === "call") {
      const { content_index: _none, ...call } = at;
      return this.#event("response.function_call_arguments.done", { ...call, name, arguments: text });
    }
    const logprobs = item.kind === "content" ? { logprobs: logprobEntries(item.logprobs) } : {};
    return (
      this.#event(`${TEXT_EVENTS[item.kind]}.done`, { ...at, text, ...logprobs }) +
      this.#event("response.content_part.done", { ...at, part: partObject(item) })
    );
  }

  /** The response in its current state. */
  #response(status: ItemStatus): JsonObject {
    const { requestId, created, model } = this.#head;
    const reason = this.#finish === "content_filter" ? "content_filter" : "max_output_tokens";
    return {
      id: `resp_${requestId}`,
      object: "response",
      created_at: created,
      completed_at: status === "completed" ? this.#head.now() : null,
      status,
      error: null,
      incomplete_details: status === "incomplete" ? { reason } : null,
      model,
      output: this.#items.map(itemObject),
      usage: status === "in_progress" || !this.#counts ? null : usageBlock(this.#counts),
      ...this.#options.asked,
    };
  }

  #event(type: string, members: JsonObject): string {
    if (!this.#options.isStream) return "";
    return `event: ${type}\ndata: ${JSON.stringify({ type, ...members, sequence_number: this.#next() })}\n\n`;
  }

  #next(): number {
    const number = this.#number;
    this.#number += 1;
    return number;
  }
}

const PREFIXES = { reasoning: "rs", content: "msg", call: "fc" } as const;
const TEXT_EVENTS = {
  reasoning: "response.reasoning_text",
  content: "response.output_text",
  call: "response.function_call_arguments",
} as const;

function place({ id, outputIndex }: OutputItem): { item_id: string; output_index: number; content_index: number } {
  return { item_id: id, output_index: outputIndex, content_index: 0 };
}

/** The beginning of an item's events that have a piece of its text. */
function opening(item: OutputItem): string {
  const type = `${TEXT_EVENTS[item.kind]}.delta`;
  const { content_index, ...at } = place(item);
  const members = item.kind === "call" ? { type, ...at } : { type, ...at, content_index };
  return `event: ${type}\ndata: ${JSON.stringify(members).slice(0, -1)},"delta":`;
}

function usageBlock({ promptTokens, completionTokens, cachedTokens, reasoningTokens }: TokenCount): JsonObject {
  return {
    input_tokens: promptTokens,
    // Engines do not count what they write to their caches apart.
    input_tokens_details: { cached_tokens: cachedTokens ?? 0, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens ?? 0 },
    total_tokens: promptTokens + completionTokens,
  };
}
