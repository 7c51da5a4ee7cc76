import { AnswerCollector, type AnswerBlock, callsOf, endReason } from "../answers.ts";
import type { AnswerHead, AnswerPart, AnswerWriter, OutputPiece, TokenCount } from "../generation.ts";
import { jsonObjectOf } from "../json/json.ts";

interface MessagesOptions {
  readonly isStream: boolean;
  readonly stopSequences: readonly string[];
}

type Finish = NonNullable<AnswerPart["finish"]>;
type BlockKind = AnswerBlock["kind"];

/** Writes answers of `/v1/messages`: one message with blocks in sequence. */
export class MessagesWriter implements AnswerWriter {
  readonly #head: AnswerHead;
  readonly #options: MessagesOptions;
  readonly #answers = new AnswerCollector();
  #last: AnswerPart | undefined;
  #finish: Finish | undefined;
  #hasCalls = false;
  /** Number of blocks that have ended: the index of the next block. */
  #ended = 0;
  #open: BlockKind | undefined;
  /** The beginning of each delta of the open block. */
  #opening = "";

  constructor(head: AnswerHead, options: MessagesOptions) {
    this.#head = head;
    this.#options = options;
  }

  part(part: AnswerPart): string {
    if (part.finish) {
      // Throws if the engine aborted, before anything looks finished.
      endReason(part.finish, false);
      this.#finish = part.finish;
    }
    let events = this.#last || !this.#options.isStream ? "" : this.#start(part.counts);
    this.#last = part;
    if (this.#options.isStream) for (const piece of part.pieces) events += this.#piece(piece);
    else this.#answers.add(part);
    return events;
  }

  end(): string {
    const usage = countsBlock(this.#last?.counts);
    const delta = stopMembers(this.#finish, this.#hasCalls, this.#options.stopSequences);
    return `${this.#close()}${frame({ type: "message_delta", delta, usage })}${frame({ type: "message_stop" })}`;
  }

  whole(): string {
    const blocks = this.#answers.answers[0]?.blocks ?? [];
    const hasCalls = callsOf(blocks).length > 0;
    return JSON.stringify({
      ...this.#message(usageBlock(this.#last?.counts), blocks.map(wholeBlock)),
      ...stopMembers(this.#finish, hasCalls, this.#options.stopSequences),
    });
  }

  #start(counts: TokenCount): string {
    const message = this.#message({ ...usageBlock(counts), output_tokens: 0 }, []);
    return frame({ type: "message_start", message });
  }

  #message(usage: object, content: readonly object[]): object {
    return {
      id: `msg_${this.#head.requestId}`,
      type: "message",
      role: "assistant",
      model: this.#head.model,
      content,
      ...NO_END,
      usage,
    };
  }

  #piece(piece: OutputPiece): string {
    if (piece.kind === "tool_call") {
      this.#hasCalls = true;
      return this.#openBlock("tool_call", toolUse(piece.id, piece.name, {}));
    }
    if (piece.text === "") return "";
    const text = JSON.stringify(piece.text);
    if (piece.kind === "tool_arguments") return `${this.#opening}${text}}}\n\n`;
    const events = piece.kind === this.#open ? "" : this.#openBlock(piece.kind, EMPTY_BLOCKS[piece.kind]);
    return `${events}${this.#opening}${text}}}\n\n`;
  }

  #openBlock(kind: BlockKind, block: object): string {
    const events = this.#close();
    const index = this.#ended;
    this.#open = kind;
    this.#opening = `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},"delta":${DELTAS[kind]}`;
    return events + frame({ type: "content_block_start", index, content_block: block });
  }

  #close(): string {
    if (!this.#open) return "";
    const index = this.#ended;
    // There is nothing to sign, but clients wait for a signature.
    const signature =
      this.#open === "reasoning"
        ? frame({ type: "content_block_delta", index, delta: { type: "signature_delta", signature: "" } })
        : "";
    this.#open = undefined;
    this.#ended += 1;
    return signature + frame({ type: "content_block_stop", index });
  }
}

const EMPTY_BLOCKS = {
  content: { type: "text", text: "", citations: null },
  reasoning: { type: "thinking", thinking: "", signature: "" },
} as const;

/** The deltas of blocks, up to their text. */
const DELTAS = {
  content: '{"type":"text_delta","text":',
  reasoning: '{"type":"thinking_delta","thinking":',
  tool_call: '{"type":"input_json_delta","partial_json":',
} as const satisfies Record<BlockKind, string>;

function frame(event: { readonly type: string; readonly [key: string]: unknown }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

function wholeBlock(block: AnswerBlock): object {
  switch (block.kind) {
    case "content":
      return { type: "text", text: block.text, citations: null };
    case "reasoning":
      return { type: "thinking", thinking: block.text, signature: "" };
    case "tool_call":
      // The input is empty if the answer was cut within the arguments; `stop_reason` says why.
      return toolUse(block.id, block.name, jsonObjectOf(block.arguments) ?? {});
  }
}

/** A tool_use block, with the model as its caller. */
function toolUse(id: string, name: string, input: object): object {
  return { type: "tool_use", id, caller: { type: "direct" }, name, input };
}

/** The counts of tokens. Cached tokens are not counted among the input tokens again. */
function countsBlock(counts: TokenCount | undefined): object {
  const cached = counts?.cachedTokens ?? 0;
  const thinking = counts?.reasoningTokens;
  return {
    input_tokens: (counts?.promptTokens ?? 0) - cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: counts?.completionTokens ?? 0,
    output_tokens_details: thinking === undefined ? null : { thinking_tokens: thinking },
    server_tool_use: null,
  };
}

/** The counts, with the members that only Anthropic's service fills and the API requires. */
function usageBlock(counts: TokenCount | undefined): object {
  return { ...countsBlock(counts), cache_creation: null, inference_geo: null, service_tier: null, speed: null };
}

function stopMembers(finish: Finish | undefined, hasCalls: boolean, stopSequences: readonly string[]): object {
  if (!finish) return NO_END;
  const { matched } = finish;
  const reason = endReason(finish, hasCalls);
  if (reason === "stop" && typeof matched === "string" && stopSequences.includes(matched)) {
    return { ...NO_END, stop_reason: "stop_sequence", stop_sequence: matched };
  }
  return { ...NO_END, stop_reason: STOP_REASONS[reason] };
}

/** The end of a message that has not ended yet. `container` and details belong to features that the gateway does not have. */
const NO_END = { container: null, stop_details: null, stop_reason: null, stop_sequence: null };

const STOP_REASONS = { stop: "end_turn", length: "max_tokens", tool_calls: "tool_use", content_filter: "refusal" };
