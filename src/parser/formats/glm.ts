import type { CallFormat } from "../call-format.ts";
import { peekSolid, takeName } from "../steps.ts";
import { TaggedArguments } from "../tagged-call.ts";

const rest = new TaggedArguments({
  keyOpens: "<arg_key>",
  keyCloses: ["</arg_key>"],
  valueOpens: "<arg_value>",
  valueCloses: "</arg_value>",
  callCloses: "</tool_call>",
  wrapperCloses: [],
  wrapperOpens: [],
  callOpens: "<tool_call>",
  tagsAreTokens: true,
  lineBreaks: "kept",
});

/** GLM from 4.5 on, with line breaks between the tags or without. */
export const glm: CallFormat = {
  openers: ["<tool_call>"],
  closers: ["</tool_call>"],
  isMarked: true,
  *read(context) {
    yield* peekSolid(context.input);
    const name = yield* takeName(context.input);
    if (name !== "") yield* rest.read(context, name);
  },
};
