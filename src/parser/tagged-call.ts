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

/** The tags of a format that writes each argument in its own tag. */
interface TagSyntax {
  /** Stands before the key: `<parameter=`. */
  readonly keyOpens: string;
  /** Stand between key and value: `>`. */
  readonly keyCloses: readonly string[];
  /** The opening tag of the value, where it has one. */
  readonly valueOpens?: string;
  /** Stands after the value. It is text where no other tag of a call follows. */
  readonly valueCloses: string;
  /** Stands after the last argument. */
  readonly callCloses: string;
  /** Stand after the call. They end it, too, where its own closing tag is missing. */
  readonly wrapperCloses: readonly string[];
  /** Stand before the next call. They end this call, too. */
  readonly wrapperOpens: readonly string[];
  /** The beginning of a call, up to the tool's name. */
  readonly callOpens: string;
  /**
   * The tags are the model's own tokens and are rare in text: one within an open value counts anywhere. Otherwise it counts
   * only at the beginning of a line, where models write them.
   */
  readonly tagsAreTokens: boolean;
  readonly lineBreaks: LineBreaks;
}

/** How a value ended: with its closing tag, with the whole call, with the answer, or with the key of the next argument. */
type ValueEnd = "value" | "call" | "cut" | ShortText;

/** Makes the sink for a value; `keyClose` is the marker between key and value. */
type SinkFor = (object: ArgumentsObject, key: string, keyClose: string) => ValueSink;

/** The call that is being read. */
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
  /** The tags within a call. */
  readonly #structure: MarkerSet;
  /** Markers that may follow the closing tag of a value: the tags within a call, and the beginning of the next call. */
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
   * Reads the text after the name of a call, up to the call's end. The call begins with its first argument or its end:
   * before that, the text may only mention the name.
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

  /** Consumes text up to the next tag of the call, and the tag; text between tags is content. The beginning of the next call is not consumed. */
  *#nextTag({ input, writer }: CallContext): Step<string | undefined> {
    yield* takeSpace(input);
    const marker = yield* textBefore(input, this.#afterValue, writer.text);
    if (marker !== undefined && this.#structure.markers.includes(marker)) input.takeTo(input.at + marker.length);
    return marker;
  }

  /** Reads an argument from its key on, and further arguments whose keys end the one before. Returns true if the call ends with them. */
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

  /** How the tag at this place ends the value; undefined where the tag is text of the value, which is then passed on. */
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

  /** Decides by the following text what the consumed closing tag, or wrapper of the next call, ends. */
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
   * Consumes the key of the next argument, if one stands here: a key that the tool declares and the call does not have yet, or
   * any key where the tool declares none.
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

  /** Consumes the opening tag of a value, in formats that have one: here or at the beginning of the next line. */
  *#opensValue(input: TextInput): Step<boolean> {
    if (this.#valueOpens.markers.length === 0) return true;
    if ((yield* peekUnit(input)) === LF) input.takeTo(input.at + 1);
    return (yield* takeMarker(input, this.#valueOpens)) !== undefined;
  }

  /** Whether a call of a declared tool stands here. */
  *#beginsCall({ input, tools }: CallContext): Step<boolean> {
    input.hold();
    yield* takeMarker(input, this.#callOpens);
    const name = yield* takeName(input);
    input.rewind();
    return tools.has(name);
  }
}

/** Whether a marker stands here, or the answer ends before that is known. */
function* isFollowed(input: TextInput, markers: MarkerSet): Step<boolean> {
  if ((yield* markerHere(input, markers)) !== undefined) return true;
  return input.isEnded && markers.at(input.text, input.at, true) === "";
}
