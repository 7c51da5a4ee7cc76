import type { CallContext } from "./call-format.ts";
import { passMemberArguments, passRaw } from "./json-arguments.ts";
import { NO_ENDS, passJson, passRest, takeJsonString } from "./json-value.ts";
import type { MarkerSet } from "./marker-set.ts";
import { peekSolid } from "./steps.ts";
import { type Step, type TextInput } from "./text-input.ts";
import { CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE, SEMICOLON } from "../util/ascii.ts";

/** Members that name the tool. */
const NAME_KEYS: ReadonlySet<string> = new Set(["name", "function", "tool_name"]);
/** Members that hold the arguments. */
const ARGUMENT_KEYS: ReadonlySet<string> = new Set(["arguments", "parameters", "args"]);
/** Members that may stand before the name. An object with any other member there is not a call. */
const OTHER_KEYS: ReadonlySet<string> = new Set(["id", "type", "tool_call_id", "index"]);

/**
 * Reads `{"name": ..., "arguments": ...}`, several with commas or semicolons between them, or an array of them. `ends`
 * are the markers that end a call. `opened` is the bracket that was consumed as the opener.
 */
export function* readJsonCalls(context: CallContext, ends: MarkerSet, opened = ""): Step<void> {
  const { input } = context;
  const first = opened === "" ? yield* takeBracket(input) : opened;
  if (first === "[") return yield* readList(context, ends);
  let next = first;
  while (next === "{" && (yield* readJsonCall(context, ends)) === "call") {
    input.record();
    const unit = yield* peekSolid(input);
    if (unit === COMMA || unit === SEMICOLON) input.takeTo(input.at + 1);
    next = yield* takeBracket(input);
  }
}

/**
 * Reads an array from its first element on. If some elements are calls, the others are skipped. If none is, the whole
 * array is text.
 */
function* readList(context: CallContext, ends: MarkerSet): Step<void> {
  const { input, writer } = context;
  const before = writer.calls;
  if ((yield* peekSolid(input)) === CLOSE_BRACKET) return void input.takeTo(input.at + 1);
  for (;;) {
    const hadCalls = writer.calls;
    const isRead = yield* readElement(context, ends, hadCalls > before);
    if (writer.calls > hadCalls) input.record();
    if (!isRead) return;
    const unit = yield* peekSolid(input);
    if (unit === COMMA || unit === SEMICOLON || unit === CLOSE_BRACKET) input.takeTo(input.at + 1);
    else if (unit !== OPEN_BRACE) return;
    if (unit !== CLOSE_BRACKET) continue;
    if (writer.calls > before) input.stopRecording();
    return;
  }
}

/** Reads one element of an array. Returns false if the rest of the array cannot be read. */
function* readElement(context: CallContext, ends: MarkerSet, isAfterCall: boolean): Step<boolean> {
  const { input, isMarked } = context;
  if ((yield* peekSolid(input)) !== OPEN_BRACE) return isMarked && isAfterCall && (yield* passJson(input, drop));
  input.recordPart();
  input.takeTo(input.at + 1);
  const kind = yield* readJsonCall(context, ends);
  const element = input.stopPart();
  if (kind === "call") return true;
  if (kind === "broken" || (kind === "other" && !isMarked)) return false;
  return yield* passRest(input, element, drop);
}

/** Drops text: the record of the input still has it. */
function drop(): void {}

/** Consumes an opening bracket; "" where none is next. */
function* takeBracket(input: TextInput): Step<string> {
  const unit = yield* peekSolid(input);
  return unit === OPEN_BRACE || unit === OPEN_BRACKET ? input.takeTo(input.at + 1) : "";
}

/** A call, a call of a tool that cannot be called here, a call that is broken, or another object. */
type ObjectKind = "call" | "undeclared" | "broken" | "other";

/** Reads one object from its first member on; to its end if it is a call. */
function* readJsonCall(context: CallContext, ends: MarkerSet): Step<ObjectKind> {
  const call = new JsonCall(context, ends);
  const { input } = context;
  for (;;) {
    const unit = yield* peekSolid(input);
    if (unit === CLOSE_BRACE) {
      input.takeTo(input.at + 1);
      return call.end() ? "call" : "other";
    }
    if (unit === COMMA && call.hasMembers) input.takeTo(input.at + 1);
    else if (unit !== QUOTE || !(yield* call.member())) return yield* call.fail();
  }
}

/** The state of one object that is being read. */
class JsonCall {
  hasMembers = false;
  readonly #context: CallContext;
  readonly #ends: MarkerSet;
  #name: string | undefined;
  #isBegun = false;
  #hasArguments = false;
  /** Arguments that stood before the name. */
  #early = "";

  constructor(context: CallContext, ends: MarkerSet) {
    this.#context = context;
    this.#ends = ends;
  }

  /** Reads a member from its key on. */
  *member(): Step<boolean> {
    const { input } = this.#context;
    this.hasMembers = true;
    const key = yield* takeJsonString(input);
    if (key === undefined || (yield* peekSolid(input)) !== COLON) return false;
    input.takeTo(input.at + 1);
    const unit = yield* peekSolid(input);
    if (this.#name === undefined && NAME_KEYS.has(key)) {
      // {"type": "function", "function": {"name": ...}}
      if (key === "function" && unit === OPEN_BRACE) return yield* this.#readWithin();
      return unit === QUOTE && (yield* this.#readName());
    }
    if (!this.#hasArguments && ARGUMENT_KEYS.has(key)) return yield* this.#readArguments(unit);
    if (!this.#isCallSure && !OTHER_KEYS.has(key)) return false;
    return yield* passJson(input, drop);
  }

  /** Ends the object. Returns false if it was not a call. */
  end(): boolean {
    if (!this.#isBegun) return false;
    if (!this.#hasArguments) this.#context.writer.arguments("{}");
    this.#context.input.stopRecording();
    return true;
  }

  /** Handles text that belongs to no call: it is content, or the arguments of a call that has none yet. */
  *fail(): Step<ObjectKind> {
    if (!this.#isBegun) return this.#name !== undefined && this.#hasArguments ? "undeclared" : "other";
    if (this.#hasArguments) return "broken";
    const { input, writer } = this.#context;
    const skipped = input.stopRecording();
    if (!input.isDone) {
      writer.arguments(skipped);
      yield* passRaw(input, this.#ends, writer.arguments);
    }
    return "broken";
  }

  *#readName(): Step<boolean> {
    const name = yield* takeJsonString(this.#context.input);
    if (name === undefined || name === "") return false;
    this.#name = name;
    return this.#tryBegin();
  }

  *#readWithin(): Step<boolean> {
    const { input } = this.#context;
    input.takeTo(input.at + 1);
    for (;;) {
      const unit = yield* peekSolid(input);
      if (unit !== COMMA && unit !== CLOSE_BRACE) {
        if (unit !== QUOTE || !(yield* this.member())) return false;
        continue;
      }
      input.takeTo(input.at + 1);
      if (unit === CLOSE_BRACE) return true;
    }
  }

  *#readArguments(unit: number): Step<boolean> {
    const { input, writer } = this.#context;
    this.#hasArguments = true;
    if (!this.#tryBegin()) return false;
    if (!this.#isBegun) return yield* passMemberArguments(input, unit, NO_ENDS, (text) => (this.#early += text));
    input.stopRecording();
    const isWhole = yield* passMemberArguments(input, unit, this.#ends, writer.arguments);
    input.record();
    return isWhole;
  }

  /** The object is certainly a call, so any member may follow. */
  get #isCallSure(): boolean {
    const { isMarked, tools } = this.#context;
    return this.#name !== undefined && (isMarked || tools.has(this.#name));
  }

  /** Begins the call once enough is known. Returns false if the object cannot be a call. */
  #tryBegin(): boolean {
    const { input, writer, tools, isMarked } = this.#context;
    if (this.#name === undefined || this.#isBegun) return true;
    // Without markers, a name alone is not a call: an object that describes the tool has it too. Nor is the name of an
    // undeclared tool.
    if (!this.#hasArguments && !(isMarked && tools.has(this.#name))) return true;
    if (!this.#context.begin(this.#name)) return false;
    this.#isBegun = true;
    if (this.#early !== "") writer.arguments(this.#early);
    input.record();
    return true;
  }
}
