import type { CallContext, CallFormat } from "../call-format.ts";
import { passAloneArguments } from "../json-arguments.ts";
import { MarkerSet } from "../marker-set.ts";
import { peekSolid, takeMarker, takeName, takeNameBefore } from "../steps.ts";
import type { Step } from "../text-input.ts";
import { OPEN_BRACE } from "../../util/ascii.ts";

const CALL_BEGIN = "<｜tool▁call▁begin｜>";
const CALL_END = "<｜tool▁call▁end｜>";
const CALLS_END = "<｜tool▁calls▁end｜>";
const SEPARATOR = new MarkerSet(["<｜tool▁sep｜>"]);
const FENCE = new MarkerSet(["```json"]);
const FENCE_END = new MarkerSet(["```"]);
const ENDS = new MarkerSet([CALL_END, CALLS_END, CALL_BEGIN, "<｜end▁of▁sentence｜>"]);
const FENCED_ENDS = new MarkerSet(["```", ...ENDS.markers]);

/**
 * `type<｜tool▁sep｜>name` and fenced JSON (V3, R1-0528), or `name<｜tool▁sep｜>` and plain JSON (V3.1): the text after
 * the separator decides which.
 */
export const deepseek: CallFormat = {
  wrappers: ["<｜tool▁calls▁begin｜>"],
  openers: [CALL_BEGIN],
  closers: [CALL_END, CALLS_END],
  isMarked: true,
  read: readCall,
};

function* readCall(context: CallContext): Step<void> {
  const { input } = context;
  yield* peekSolid(input);
  const first = yield* takeNameBefore(input, SEPARATOR);
  if (first === "") return;
  if ((yield* peekSolid(input)) === OPEN_BRACE) {
    if (context.begin(first)) yield* passAloneArguments(context, ENDS);
    return;
  }
  const name = yield* takeName(input);
  yield* peekSolid(input);
  if (name === "" || (yield* takeMarker(input, FENCE)) === undefined || !context.begin(name)) return;
  yield* passAloneArguments(context, FENCED_ENDS);
  input.record();
  yield* peekSolid(input);
  if ((yield* takeMarker(input, FENCE_END)) !== undefined) input.stopRecording();
}
