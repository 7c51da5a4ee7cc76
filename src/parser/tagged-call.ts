import type { ArgumentSchema } from "./argument-schema.ts";
import { ArgumentsObject } from "./arguments-object.ts";
import type { CallContext } from "./call-format.ts";
import { MarkerSet } from "./marker-set.ts";
import {
  markerHere,
  type ShortText,
  takeMarker,
  takeName,
  takeShort,
  takeSpace,
  textBefore,
  peekUnit,
} from "./steps.ts";
import type { Step, TextInput } from "./text-input.ts";
import { LF } from "../util/ascii.ts";
import { createValueSink, type LineBreaks, type ValueSink } from "./value-sink.ts";

/** The tags of a format that writes each argument in a tag of its own. */
export interface TagSyntax {
  /** Before the key, as `<parameter=`. */
  readonly keyOpens: string;
  /** Between key and value, as `>`. */
  readonly keyCloses: readonly string[];
  /** Where the value has an opening tag of its own. */
  readonly valueOpens?: string;
  /** After the value. What looks like it is text where no other tag of a call follows. */
  readonly valueCloses: string;
  /** After the last argument. */
  readonly callCloses: string;
  /** After the call. Ends it where the tag that closes it was left out. */
  readonly wrapperCloses: readonly string[];
  /** Before the next call. Ends this one, too. */
  readonly wrapperOpens: readonly string[];
  /** What a call begins with, up to the name of its tool. */
  readonly callOpens: string;
  /**
   * The tags are words of the model's own that text hardly has: one that comes before a value was closed counts anywhere.
   * Else only where it begins a line, as the model writes them.
   */
  readonly tagsAreTokens: boolean;
  readonly lineBreaks: LineBreaks;
}

/** How a value ended: by its tag, with the whole call, with the answer, or by the key of the next argument. */
type ValueEnd = "value" | "call" | "cut" | ShortText;

/** Makes the sink for a value; `keyClose` is the marker that stood between key and value. */
export type SinkFor = (object: ArgumentsObject, key: string, keyClose: string) => ValueSink;

/** The call that is read. */
interface OpenCall {
  readonly context: CallContext;
  readonly object: ArgumentsObject;
  readonly schema: ArgumentSchema;
  readonly makeSink: SinkFor;
}

/** Reads the arguments of calls in one syntax. */
export class TaggedArguments {
  readonly #syntax: TagSyntax;
  readonly #keyOpens: MarkerSet;
  readonly #keyCloses: MarkerSet;
  readonly #valueOpens: MarkerSet;
  readonly #callOpens: MarkerSet;
  /** Tags of this call. */
  readonly #structure: MarkerSet;
  /** What may follow the tag that closes a value: those, and what begins the next call. */
  readonly #afterValue: MarkerSet;
  readonly #afterCall: MarkerSet;
  readonly #nextCall: MarkerSet;
  readonly #inValue: MarkerSet;

  constructor(syntax: TagSyntax) {
    const { keyOpens, valueOpens, valueCloses, callCloses, wrapperCloses, wrapperOpens, callOpens } = syntax;
    const next = [...wrapperOpens, callOpens];
    this.#syntax = syntax;
    this.#keyOpens = new MarkerSet([keyOpens]);
    this.#keyCloses = new MarkerSet(syntax.keyCloses);
    this.#valueOpens = new MarkerSet(valueOpens === undefined ? [] : [valueOpens]);
    this.#callOpens = new MarkerSet([callOpens]);
    this.#structure = new MarkerSet([keyOpens, callCloses, ...wrapperCloses]);
    this.#afterValue = new MarkerSet([keyOpens, callCloses, ...wrapperCloses, ...next]);
    this.#afterCall = new MarkerSet([...wrapperCloses, ...next]);
    this.#nextCall = new MarkerSet(next);
    this.#inValue = new MarkerSet([valueCloses, keyOpens, callCloses, ...wrapperCloses, ...next]);
  }

  /**
   * Reads what follows the name of a call, up to its end. The call begins when its first argument or its end is there:
   * until then the name may just be talked about.
   */
  *read(context: CallContext, name: string, sinkFor?: SinkFor): Step<void> {
    yield* takeSpace(context.input);
    if ((yield* markerHere(context.input, this.#structure)) === undefined || !context.begin(name)) return;
    const schema = context.tools.schemaOf(name);
    const makeSink = sinkFor ?? ((object, key) => createValueSink(object, schema.member(key), this.#syntax.lineBreaks));
    const call: OpenCall = { context, object: new ArgumentsObject(context.writer), schema, makeSink };
    for (;;) {
      const marker = yield* this.#nextTag(context);
      if (marker === undefined) return;
      if (marker !== this.#syntax.keyOpens || (yield* this.#argument(call))) return call.object.end();
    }
  }

  /** Consumes up to the next tag of the call and that; what begins the next call stays. Text between tags is text. */
  *#nextTag({ input, writer }: CallContext): Step<string | undefined> {
    yield* takeSpace(input);
    const marker = yield* textBefore(input, this.#afterValue, writer.text);
    if (marker !== undefined && this.#structure.markers.includes(marker)) input.takeTo(input.at + marker.length);
    return marker;
  }

  /** Reads an argument from its key on, and those after it whose keys end it. True where the call ends with it. */
  *#argument(call: OpenCall): Step<boolean> {
    const { input, writer } = call.context;
    input.record();
    let key = yield* this.#key(input);
    const raw = input.stopRecording();
    if (key === undefined) writer.text(this.#syntax.keyOpens + raw);
    while (key !== undefined) {
      call.object.key(key.text);
      const sink = call.makeSink(call.object, key.text, key.marker);
      const end = yield* this.#value(call, sink);
      if (end === "cut") sink.cut();
      else sink.end(end !== "value");
      if (end === "call") return true;
      key = typeof end === "string" ? undefined : end;
    }
    return false;
  }

  *#key(input: TextInput): Step<ShortText | undefined> {
    const key = yield* takeShort(input, this.#keyCloses);
    if (key === undefined || this.#valueOpens.markers.length === 0) return key;
    yield* takeSpace(input);
    return (yield* takeMarker(input, this.#valueOpens)) === undefined ? undefined : key;
  }

  *#value(call: OpenCall, sink: ValueSink): Step<ValueEnd> {
    let isLineStart = true;
    const emit = (text: string): void => {
      isLineStart = text.endsWith("\n");
      sink.text(text);
    };
    const { input } = call.context;
    const { tagsAreTokens } = this.#syntax;
    for (;;) {
      const marker = yield* textBefore(input, this.#inValue, emit);
      if (marker === undefined) return "cut";
      const end = yield* this.#endAt(call, marker, tagsAreTokens || isLineStart, emit);
      if (end !== undefined) return end;
    }
  }

  /** What the tag here says of the value; undefined where it is text of it, which is passed on. */
  *#endAt(call: OpenCall, tag: string, mayOpen: boolean, emit: (text: string) => void): Step<ValueEnd | undefined> {
    const { keyOpens, callOpens } = this.#syntax;
    const { input } = call.context;
    if (mayOpen && tag === keyOpens) {
      const key = yield* this.#nextKey(call);
      if (key !== undefined) return key;
    }
    if (mayOpen && tag === callOpens && (yield* this.#beginsCall(call.context))) return "call";
    input.takeTo(input.at + tag.length);
    if (tag === keyOpens || tag === callOpens) {
      emit(tag);
      return undefined;
    }
    const space = yield* takeSpace(input);
    const end = yield* this.#closedBy(call.context, tag, mayOpen);
    if (end === undefined) emit(tag + space);
    return end;
  }

  /** What a closing tag, or the wrapper of the next call, ends: what follows tells. It was consumed. */
  *#closedBy(context: CallContext, tag: string, mayOpen: boolean): Step<"value" | "call" | undefined> {
    const { input } = context;
    const { valueCloses, callCloses, wrapperCloses } = this.#syntax;
    if (tag === valueCloses) return (yield* isFollowed(input, this.#afterValue)) ? "value" : undefined;
    if (tag === callCloses) return (yield* markerHere(input, this.#afterCall)) === undefined ? undefined : "call";
    if (!mayOpen) return undefined;
    if (wrapperCloses.includes(tag))
      return (yield* markerHere(input, this.#nextCall)) === undefined ? undefined : "call";
    return (yield* this.#beginsCall(context)) ? "call" : undefined;
  }

  /**
   * Consumes the key of the next argument where one stands here: one that the tool has and the call has not yet, or any
   * where nothing is known of the tool's.
   */
  *#nextKey({ context: { input }, object, schema }: OpenCall): Step<ShortText | undefined> {
    input.hold();
    yield* takeMarker(input, this.#keyOpens);
    const key = yield* takeShort(input, this.#keyCloses);
    const isKnown = key !== undefined && (schema.namesMembers ? schema.declares(key.text) : /^\S+$/.test(key.text));
    if (isKnown && !object.has(key.text) && (yield* this.#opensValue(input))) {
      input.release();
      return key;
    }
    input.rewind();
    return undefined;
  }

  /** Consumes the opening tag of a value, where values have one: right here or in the next line. */
  *#opensValue(input: TextInput): Step<boolean> {
    if (this.#valueOpens.markers.length === 0) return true;
    if ((yield* peekUnit(input)) === LF) input.takeTo(input.at + 1);
    return (yield* takeMarker(input, this.#valueOpens)) !== undefined;
  }

  /** A call of a declared tool stands here. */
  *#beginsCall({ input, tools }: CallContext): Step<boolean> {
    input.hold();
    yield* takeMarker(input, this.#callOpens);
    const name = yield* takeName(input);
    input.rewind();
    return tools.has(name);
  }
}

/** A marker stands here, or the answer is over before it is known. */
function* isFollowed(input: TextInput, markers: MarkerSet): Step<boolean> {
  if ((yield* markerHere(input, markers)) !== undefined) return true;
  return input.isEnded && markers.at(input.text, input.at, true) === "";
}
