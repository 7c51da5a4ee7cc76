import { takeBalanced } from "../balanced-text.ts";
import type { CallContext, CallFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { isJson, NO_ENDS } from "../json-value.ts";
import { pythonToJson } from "../python-literal.ts";
import { peekSolid } from "../steps.ts";
import { type Step, TextInput } from "../text-input.ts";

/** Sarashina: calls as a Python list of dicts. The marker is a special token, which detokenizing may have dropped. */
export const sarashina: CallFormat = {
  openers: ["<|tool_calls|>"],
  beginsWith: "[{",
  isMarked: true,
  read: readCalls,
};

function* readCalls(context: CallContext): Step<void> {
  const unit = yield* peekSolid(context.input);
  if (unit !== 0x5b && unit !== 0x7b) return;
  const text = yield* takeBalanced(context.input);
  if (text === undefined) return;
  const json = isJson(text) ? text : pythonToJson(text);
  if (json === undefined) return;
  const input = new TextInput();
  input.feed(json);
  input.end();
  input.record();
  const { writer, tools, isMarked } = context;
  yield* readJsonCalls({ input, writer, tools, isMarked, begin: (name) => context.begin(name) }, NO_ENDS);
}
