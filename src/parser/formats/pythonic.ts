import { takeBalanced } from "../balanced-text.ts";
import type { CallContext, CallFormat } from "../call-format.ts";
import { pythonArguments } from "../python-literal.ts";
import { isNameUnit, peekSolid, takeName } from "../steps.ts";
import { isSpace, type Step } from "../text-input.ts";
import { CLOSE_BRACKET, COMMA } from "../../util/ascii.ts";

const OPEN_PARENTHESIS = 0x28;

/** `[f(k=v), g()]`: Llama 4 and others. Only a declared tool with keyword arguments is a call, and it comes out whole. */
export const pythonic: CallFormat = {
  wrappers: ["<|python_start|>"],
  openers: ["["],
  closers: ["<|python_end|>"],
  isMarked: false,
  rejects: (_opener, next) => next >= 0 && !isNameUnit(next) && !isSpace(next),
  read: (context) => readCalls(context, true),
};

/** `f(k=v)`, one a line, between tags: Olmo 3. */
export const olmo3: CallFormat = {
  openers: ["<function_calls>"],
  closers: ["</function_calls>"],
  isMarked: true,
  read: (context) => readCalls(context, false),
};

function* readCalls(context: CallContext, isList: boolean): Step<void> {
  const { input } = context;
  while (yield* readCall(context)) {
    input.record();
    const unit = yield* peekSolid(input);
    if (unit === CLOSE_BRACKET && isList) {
      input.takeTo(input.at + 1);
      input.stopRecording();
      return;
    }
    if (unit === COMMA) input.takeTo(input.at + 1);
    else if (isList) return;
  }
}

function* readCall(context: CallContext): Step<boolean> {
  const { input } = context;
  yield* peekSolid(input);
  const name = yield* takeName(input);
  if (name === "" || (yield* peekSolid(input)) !== OPEN_PARENTHESIS) return false;
  if (!context.isMarked && !context.tools.has(name)) return false;
  const text = yield* takeBalanced(input);
  const json = text === undefined ? undefined : pythonArguments(text.slice(1, -1));
  if (json === undefined || !context.begin(name)) return false;
  context.writer.arguments(json);
  return true;
}
