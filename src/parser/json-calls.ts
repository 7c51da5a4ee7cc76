import type { CallContext } from "./call-format.ts";
import { isJson, jsonString, passJson, takeJsonString } from "./json-value.ts";
import { MarkerSet } from "./marker-set.ts";
import { markerHere, peekSolid } from "./steps.ts";
import { type Step, type TextInput } from "./text-input.ts";
import { CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE, SEMICOLON } from "../util/ascii.ts";

/** How an object says which tool is called. */
const NAME_KEYS: ReadonlySet<string> = new Set(["name", "function", "tool_name"]);
/** How it says with what. */
const ARGUMENT_KEYS: ReadonlySet<string> = new Set(["arguments", "parameters", "args"]);
/** Members that may come before the name. Any other one there says that the object is no call. */
const OTHER_KEYS: ReadonlySet<string> = new Set(["id", "type", "tool_call_id", "index"]);

/** Nothing ends the arguments but themselves. */
const NO_MARKERS = new MarkerSet([]);

/**
 * Reads `{"name": ..., "arguments": ...}`, several with commas or semicolons between them, or an array of them. `ends`
 * are the markers after which no more of a call comes; `opened` the bracket that was consumed as the opener.
 */
export function* readJsonCalls(context: CallContext, ends: MarkerSet, opened = ""): Step<void> {
  const { input } = context;
  const first = opened === "" ? yield* takeBracket(input) : opened;
  let next = first === "[" ? yield* takeBracket(input) : first;
  while (next === "{" && (yield* readJsonCall(context, ends))) {
    input.record();
    const unit = yield* peekSolid(input);
    if (unit === CLOSE_BRACKET && first === "[") {
      input.takeTo(input.at + 1);
      input.stopRecording();
      return;
    }
    if (unit === COMMA || unit === SEMICOLON) input.takeTo(input.at + 1);
    next = yield* takeBracket(input);
  }
}

/** Consumes an opening bracket, "" where none is next. */
function* takeBracket(input: TextInput): Step<string> {
  const unit = yield* peekSolid(input);
  return unit === OPEN_BRACE || unit === OPEN_BRACKET ? input.takeTo(input.at + 1) : "";
}

/** Reads one object from its first member on. False where it is no call or does not end as one. */
function* readJsonCall(context: CallContext, ends: MarkerSet): Step<boolean> {
  const call = new JsonCall(context, ends);
  const { input } = context;
  for (;;) {
    const unit = yield* peekSolid(input);
    if (unit === CLOSE_BRACE) {
      input.takeTo(input.at + 1);
      return call.end();
    }
    if (unit === COMMA && call.hasMembers) input.takeTo(input.at + 1);
    else if (unit !== QUOTE || !(yield* call.member())) return yield* call.fail();
  }
}

/** One object, as far as it has been read. */
class JsonCall {
  hasMembers = false;
  readonly #context: CallContext;
  readonly #ends: MarkerSet;
  #name: string | undefined;
  #isBegun = false;
  #hasArguments = false;
  /** Arguments that came before the name. */
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
    if (this.#name === undefined && !OTHER_KEYS.has(key)) return false;
    return yield* passJson(input, () => undefined);
  }

  /** The object ends here. False where it was no call. */
  end(): boolean {
    if (!this.#isBegun) return false;
    if (!this.#hasArguments) this.#context.writer.arguments("{}");
    this.#context.input.stopRecording();
    return true;
  }

  /** What stands here belongs to no call: text, or the arguments of a call that has none yet. */
  *fail(): Step<false> {
    if (!this.#isBegun || this.#hasArguments) return false;
    const { input, writer } = this.#context;
    const skipped = input.stopRecording();
    if (!input.isDone) {
      writer.arguments(skipped);
      yield* passRaw(input, this.#ends, writer.arguments);
    }
    return false;
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
    if (!this.#isBegun) return yield* passArguments(input, unit, NO_MARKERS, (text) => (this.#early += text));
    input.stopRecording();
    const isWhole = yield* passArguments(input, unit, this.#ends, writer.arguments);
    input.record();
    return isWhole;
  }

  /** Begins the call if enough is known. False where it can be none. */
  #tryBegin(): boolean {
    const { input, writer, tools, isMarked } = this.#context;
    if (this.#name === undefined || this.#isBegun) return true;
    // Without markers a name alone makes no call: an object that describes the tool has it, too.
    if (!isMarked && !this.#hasArguments) return tools.has(this.#name);
    if (!this.#context.begin(this.#name)) return false;
    this.#isBegun = true;
    if (this.#early !== "") writer.arguments(this.#early);
    input.record();
    return true;
  }
}

/**
 * Passes on the JSON that begins with `unit`. A string that holds the JSON is unwrapped, null is no arguments, and what is
 * broken goes through as it is up to one of `ends`. False where the text was broken or ended.
 */
function* passArguments(input: TextInput, unit: number, ends: MarkerSet, emit: (text: string) => void): Step<boolean> {
  let isWhole = false;
  if (unit === QUOTE || unit === 0x6e) {
    let raw = "";
    isWhole = yield* passJson(input, (text) => (raw += text));
    const unwrapped = raw === "null" ? "{}" : isWhole ? jsonString(raw) : undefined;
    emit(unwrapped !== undefined && isJson(unwrapped) ? unwrapped : raw);
  } else {
    isWhole = yield* passJson(input, emit);
  }
  if (!isWhole) yield* passRaw(input, ends, emit);
  return isWhole;
}

/** Passes on JSON arguments that stand alone before an end marker; none at all are `{}`. */
export function* passAloneArguments({ input, writer }: CallContext, ends: MarkerSet): Step<void> {
  const unit = yield* peekSolid(input);
  if (unit === OPEN_BRACE || unit === OPEN_BRACKET || unit === QUOTE) {
    yield* passArguments(input, unit, ends, writer.arguments);
    return;
  }
  let raw = "";
  yield* passRaw(input, ends, (text) => (raw += text));
  if (raw !== "" || !input.isDone) writer.arguments(raw === "" || raw.trim() === "null" ? "{}" : raw);
}

/** Passes on everything up to one of `ends`, which is left where it is. */
function* passRaw(input: TextInput, ends: MarkerSet, emit: (text: string) => void): Step<void> {
  if (ends.markers.length === 0) return;
  for (;;) {
    const text = input.takeText(ends);
    if (text !== "") emit(text);
    if (input.at < input.text.length && (yield* markerHere(input, ends)) !== undefined) return;
    if (input.isDone) return;
    yield;
  }
}
