import type { CallFormat } from "../call-format.ts";
import { MarkerSet } from "../marker-set.ts";
import { takeNameBefore } from "../steps.ts";
import { TaggedArguments } from "../tagged-call.ts";

const OPENER = "<minimax:tool_call>";
const INVOKE = '<invoke name="';
const CLOSER = "</minimax:tool_call>";
const NAME_END = new MarkerSet(['">']);

const rest = new TaggedArguments({
  keyOpens: '<parameter name="',
  keyCloses: ['">'],
  valueCloses: "</parameter>",
  callCloses: "</invoke>",
  wrapperCloses: [CLOSER],
  wrapperOpens: [OPENER],
  callOpens: INVOKE,
  tagsAreTokens: false,
  lineBreaks: "kept",
});

/** MiniMax M2: tags with unescaped values, as its template writes them. */
export const minimax: CallFormat = {
  wrappers: [OPENER],
  openers: [INVOKE],
  closers: [CLOSER],
  isMarked: true,
  *read(context) {
    const name = yield* takeNameBefore(context.input, NAME_END);
    if (name !== "") yield* rest.read(context, name);
  },
};
