import { takeBalanced } from "../balanced-text.ts";
import type { CallContext, CallFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { MarkerSet } from "../marker-set.ts";
import { pythonArguments } from "../python-literal.ts";
import { isNameUnit, peekSolid, peekUnit, takeName } from "../steps.ts";
import { isSpace, type Step, type TextInput } from "../text-input.ts";
import { CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET } from "../../util/ascii.ts";

const OPEN_PARENTHESIS = 0x28;
const CLOSE_PARENTHESIS = 0x29;
const EQUALS = 0x3d;
const LFM2_ENDS = new MarkerSet(["<|tool_call_end|>", "<|im_end|>"]);

/** `[f(k=v), g()]`: Llama 4 and others. Only a declared tool with keyword arguments is a call. The call comes out when it is complete. */
export const pythonic: CallFormat = {
  wrappers: ["<|python_start|>"],
  openers: ["["],
  closers: ["<|python_end|>"],
  isMarked: false,
  plainTo: (text, at) => (at + 1 < text.length && !mayBeginList(text.charCodeAt(at + 1)) ? at + 1 : at),
  read: (context) => readCalls(context, true),
};

function mayBeginList(unit: number): boolean {
  return isNameUnit(unit) || isSpace(unit);
}

/** `f(k=v)`, one a line, between tags: Olmo 3. */
export const olmo3: CallFormat = {
  openers: ["<function_calls>"],
  closers: ["</function_calls>"],
  isMarked: true,
  read: (context) => readCalls(context, false),
};

/** LFM2: a list of `f(k=v)` or of JSON between tokens, or as the whole answer where the tokens were dropped. */
export const lfm2: CallFormat = {
  openers: ["<|tool_call_start|>"],
  closers: ["<|tool_call_end|>"],
  beginsWith: "[",
  isMarked: true,
  *read(context) {
    const { input } = context;
    if ((yield* peekSolid(input)) !== OPEN_BRACKET) return yield* readCalls(context, false);
    input.takeTo(input.at + 1);
    const isJson = (yield* peekSolid(input)) === OPEN_BRACE;
    yield* isJson ? readJsonCalls(context, LFM2_ENDS, "[") : readCalls(context, true);
  },
};

/** Reads calls up to the end of their list. If some tools are declared, calls of undeclared ones are skipped. */
function* readCalls(context: CallContext, isList: boolean): Step<void> {
  const { input, writer } = context;
  const before = writer.calls;
  for (;;) {
    const hadCalls = writer.calls;
    if (!(yield* readCall(context))) return;
    if (writer.calls > hadCalls) input.record();
    const unit = yield* peekSolid(input);
    if (unit === COMMA || (unit === CLOSE_BRACKET && isList)) input.takeTo(input.at + 1);
    else if (isList) return;
    if (unit !== CLOSE_BRACKET || !isList) continue;
    if (writer.calls > before) input.stopRecording();
    return;
  }
}

/** Whether the text in these parentheses begins like keyword arguments, or is empty. */
function* hasKeywords(input: TextInput): Step<boolean> {
  input.hold();
  input.takeTo(input.at + 1);
  const name = yield* takeName(input);
  const unit = yield* peekUnit(input);
  input.rewind();
  return unit === (name === "" ? CLOSE_PARENTHESIS : EQUALS);
}

/** Reads one call. Returns false if none stands here. A call of an undeclared tool is read, but not begun. */
function* readCall(context: CallContext): Step<boolean> {
  const { input } = context;
  yield* peekSolid(input);
  const name = yield* takeName(input);
  if (name === "" || (yield* peekSolid(input)) !== OPEN_PARENTHESIS) return false;
  // Prose with a parenthesis must not be held back until the parenthesis closes.
  if (!context.isMarked && !context.tools.has(name) && !(yield* hasKeywords(input))) return false;
  const text = yield* takeBalanced(input);
  const json = text === undefined ? undefined : pythonArguments(text.slice(1, -1));
  if (json === undefined) return false;
  if (context.begin(name)) context.writer.arguments(json);
  return true;
}
