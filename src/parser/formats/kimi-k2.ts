import type { CallContext, CallFormat } from "../call-format.ts";
import { passAloneArguments } from "../json-arguments.ts";
import { MarkerSet } from "../marker-set.ts";
import { peekSolid, takeMarker, takeName } from "../steps.ts";
import type { Step } from "../text-input.ts";

const CALL_BEGIN = "<|tool_call_begin|>";
const CALL_END = "<|tool_call_end|>";
// The models write both forms.
const SECTION_BEGINS = ["<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"];
const SECTION_ENDS = ["<|tool_calls_section_end|>", "<|tool_call_section_end|>"];
const ARGUMENTS = new MarkerSet(["<|tool_call_argument_begin|>"]);
const ENDS = new MarkerSet([CALL_END, ...SECTION_ENDS, CALL_BEGIN, "<|im_end|>"]);

/** Kimi K2: an id `functions.NAME:NUMBER` and plain JSON. Clients get ids whose numbers continue over the conversation. */
export const kimiK2: CallFormat = {
  wrappers: SECTION_BEGINS,
  openers: [CALL_BEGIN],
  closers: [CALL_END, ...SECTION_ENDS],
  isMarked: true,
  read: readCall,
  callId: (name, number) => `functions.${name}:${number}`,
};

function* readCall(context: CallContext): Step<void> {
  const { input } = context;
  yield* peekSolid(input);
  const name = nameInId(yield* takeName(input));
  yield* peekSolid(input);
  if (name === "" || (yield* takeMarker(input, ARGUMENTS)) === undefined || !context.begin(name)) return;
  yield* passAloneArguments(context, ENDS);
}

function nameInId(id: string): string {
  return id.replace(/^functions\./, "").replace(/:[0-9]+$/, "");
}
