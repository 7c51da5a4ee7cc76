import type { CallFormat } from "../call-format.ts";
import { MarkerSet } from "../marker-set.ts";
import { takeNameBefore } from "../steps.ts";
import { TaggedArguments } from "../tagged-call.ts";

const CLOSER = "</minimax:tool_call>";
const NAME_END = new MarkerSet(['">']);

const rest = new TaggedArguments({
  keyOpens: '<parameter name="',
  keyCloses: ['">'],
  valueCloses: "</parameter>",
  callCloses: "</invoke>",
  wrapperCloses: [CLOSER],
  trimsLineBreaks: false,
  decodesEntities: true,
});

/** MiniMax M2: XML with entities. */
export const minimax: CallFormat = {
  wrappers: ["<minimax:tool_call>"],
  openers: ['<invoke name="'],
  closers: [CLOSER],
  isMarked: true,
  *read(context) {
    const name = yield* takeNameBefore(context.input, NAME_END);
    if (name !== "") yield* rest.read(context, name);
  },
};
