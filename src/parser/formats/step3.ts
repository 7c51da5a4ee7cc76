import type { CallFormat } from "../call-format.ts";
import { MarkerSet } from "../marker-set.ts";
import { peekSolid, takeMarker, takeNameBefore } from "../steps.ts";
import { TaggedArguments } from "../tagged-call.ts";

const CALLS_BEGIN = "<｜tool_calls_begin｜>";
const CALL_BEGIN = "<｜tool_call_begin｜>";
const CALL_END = "<｜tool_call_end｜>";
const CALLS_END = "<｜tool_calls_end｜>";
const SEPARATOR = new MarkerSet(["<｜tool_sep｜>"]);
const INVOKE = new MarkerSet(['<steptml:invoke name="']);
const NAME_END = new MarkerSet(['">']);

const rest = new TaggedArguments({
  keyOpens: '<steptml:parameter name="',
  keyCloses: ['">'],
  valueCloses: "</steptml:parameter>",
  callCloses: "</steptml:invoke>",
  wrapperCloses: [CALL_END],
  wrapperOpens: [CALLS_BEGIN],
  callOpens: `${CALL_BEGIN}function<｜tool_sep｜><steptml:invoke name="`,
  tagsAreTokens: false,
  lineBreaks: "kept",
});

/** Step 3: a type, and an XML call. */
export const step3: CallFormat = {
  wrappers: [CALLS_BEGIN],
  openers: [CALL_BEGIN],
  closers: [CALL_END, CALLS_END],
  isMarked: true,
  *read(context) {
    const { input } = context;
    yield* peekSolid(input);
    if ((yield* takeNameBefore(input, SEPARATOR)) === "") return;
    yield* peekSolid(input);
    if ((yield* takeMarker(input, INVOKE)) === undefined) return;
    const name = yield* takeNameBefore(input, NAME_END);
    if (name !== "") yield* rest.read(context, name);
  },
};
