import type { CallFormat } from "../call-format.ts";
import { MarkerSet } from "../marker-set.ts";
import { takeNameBefore } from "../steps.ts";
import { TaggedArguments } from "../tagged-call.ts";
import type { LineBreaks } from "../value-sink.ts";

// Models forget the bracket before a line break.
const NAME_ENDS = [">", "\n"];
const NAME_END = new MarkerSet(NAME_ENDS);

/** `<function=NAME><parameter=KEY>` in a wrapper: Qwen3-Coder and later, Nemotron 3, MiMo V2, Step 3.5, Seed-OSS. */
export function functionTags(wrapper: string, wrapperClose: string, lineBreaks: LineBreaks): CallFormat {
  const rest = new TaggedArguments({
    keyOpens: "<parameter=",
    keyCloses: NAME_ENDS,
    valueCloses: "</parameter>",
    callCloses: "</function>",
    wrapperCloses: [wrapperClose],
    wrapperOpens: [wrapper],
    callOpens: "<function=",
    tagsAreTokens: false,
    lineBreaks,
  });
  return {
    wrappers: [wrapper],
    openers: ["<function="],
    closers: [wrapperClose],
    isMarked: true,
    *read(context) {
      const name = yield* takeNameBefore(context.input, NAME_END);
      if (name !== "") yield* rest.read(context, name);
    },
  };
}
