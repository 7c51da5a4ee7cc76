import type { CallContext, CallFormat } from "../call-format.ts";
import { passAloneArguments } from "../json-arguments.ts";
import { readJsonCalls } from "../json-calls.ts";
import { MarkerSet } from "../marker-set.ts";
import { peekSolid, takeMarker, takeName } from "../steps.ts";
import type { Step } from "../text-input.ts";
import { OPEN_BRACE } from "../../util/ascii.ts";

const ENDS = new MarkerSet(["[TOOL_CALLS]", "</s>"]);
const CALL_ID = new MarkerSet(["[CALL_ID]"]);
const ARGS = new MarkerSet(["[ARGS]"]);

/**
 * `[TOOL_CALLS] [{"name": ..., "arguments": ...}]` as models up to 2024 write it, and
 * `[TOOL_CALLS]name[CALL_ID]id[ARGS]{...}` as later models do; some leave out the middle parts.
 */
export const mistral: CallFormat = {
  openers: ["[TOOL_CALLS]"],
  isMarked: true,
  read: readCalls,
};

function* readCalls(context: CallContext): Step<void> {
  const { input } = context;
  yield* peekSolid(input);
  const name = yield* takeName(input);
  if (name === "") return yield* readJsonCalls(context, ENDS);
  if ((yield* takeMarker(input, CALL_ID)) !== undefined) yield* takeName(input);
  const hasMarker = (yield* takeMarker(input, ARGS)) !== undefined;
  const unit = yield* peekSolid(input);
  if ((!hasMarker && unit !== OPEN_BRACE) || !context.begin(name)) return;
  yield* passAloneArguments(context, ENDS);
}
