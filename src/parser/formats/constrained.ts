import type { CallFormat } from "../call-format.ts";
import { passAloneArguments } from "../json-arguments.ts";
import { readJsonCalls } from "../json-calls.ts";
import { NO_ENDS } from "../json-value.ts";

/** The engine was constrained to write an array of `{name, parameters}`, because a call is required. */
export const jsonArray: CallFormat = {
  openers: [],
  beginsWith: "[{",
  isMarked: false,
  read: (context) => readJsonCalls(context, NO_ENDS),
};

/** The engine was constrained to write the arguments of one tool, the parser's only tool. */
export const jsonObject: CallFormat = {
  openers: [],
  beginsWith: "{",
  isMarked: false,
  *read(context) {
    const name = context.tools.onlyName;
    if (name !== undefined && context.begin(name)) yield* passAloneArguments(context, NO_ENDS);
  },
};
