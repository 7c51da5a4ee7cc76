import type { TextLogprob } from "../generation.ts";
import type { JsonObject } from "../json/json.ts";
import { logprobEntries } from "./logprobs.ts";

/** An item of the output, which grows as its pieces come. */
export interface OutputItem {
  readonly kind: "reasoning" | "content" | "call";
  readonly id: string;
  readonly outputIndex: number;
  status: ItemStatus;
  /** Text so far; of a call its arguments. */
  text: string;
  readonly logprobs: TextLogprob[];
  /** Only for a call. */
  readonly callId: string;
  readonly name: string;
}

export type ItemStatus = "in_progress" | "completed" | "incomplete";

/** The item in the response's form. An item that has just begun has no content. */
export function itemObject(item: OutputItem): JsonObject {
  const { id, status } = item;
  const content = status === "in_progress" ? [] : [partObject(item)];
  switch (item.kind) {
    case "reasoning":
      return { id, type: "reasoning", summary: [], content, status };
    case "content":
      return { id, type: "message", status, role: "assistant", content };
    case "call":
      return { id, type: "function_call", status, call_id: item.callId, name: item.name, arguments: item.text };
  }
}

/** The single part of an item with text. */
export function partObject({ kind, text, logprobs }: OutputItem): JsonObject {
  return kind === "reasoning"
    ? { type: "reasoning_text", text }
    : { type: "output_text", text, annotations: [], logprobs: logprobEntries(logprobs) };
}
