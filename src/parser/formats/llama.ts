import type { CallFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { MarkerSet } from "../marker-set.ts";

const ENDS = new MarkerSet(["<|eom_id|>", "<|eot_id|>"]);

/** Llama 3: JSON that is the whole message, or JSON after a tag. */
export const llama: CallFormat = {
  openers: ["<|python_tag|>"],
  beginsWith: "{[",
  isMarked: true,
  read: (context) => readJsonCalls(context, ENDS),
};
