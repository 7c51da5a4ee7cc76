import { ArgumentsObject } from "./arguments-object.ts";
import type { CallContext } from "./call-format.ts";
import { MarkerSet } from "./marker-set.ts";
import { markerHere, type ShortText, takeMarker, takeShort, takeSpace, textUntil } from "./steps.ts";
import type { Step, TextInput } from "./text-input.ts";
import { createValueSink, type ValueSink } from "./value-sink.ts";

/** The tags of a format that writes each argument in a tag of its own. */
export interface TagSyntax {
  /** Before the key, as `<parameter=`. */
  readonly keyOpens: string;
  /** Between key and value, as `>`. */
  readonly keyCloses: readonly string[];
  /** Where the value has an opening tag of its own. */
  readonly valueOpens?: string;
  /** After the value. What looks like it is text where no other tag of the call follows. */
  readonly valueCloses: string;
  /** After the last argument. */
  readonly callCloses: string;
  /** After the call. Ends it where the tag that closes it was left out. */
  readonly wrapperCloses: readonly string[];
  readonly trimsLineBreaks: boolean;
  /** XML entities in values are what they stand for. */
  readonly decodesEntities: boolean;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
  "&#39;": "'",
};

/** How a value ended: by its tag, with the whole call, or with the answer. */
type ValueEnd = "value" | "call" | "cut";

/** Makes the sink for a value; `keyClose` is the marker that stood between key and value. */
export type SinkFor = (object: ArgumentsObject, key: string, keyClose: string) => ValueSink;

/** Reads the arguments of calls in one syntax. */
export class TaggedArguments {
  readonly #syntax: TagSyntax;
  readonly #keyCloses: MarkerSet;
  readonly #structure: MarkerSet;
  readonly #valueEnds: MarkerSet;
  readonly #valueOpens: MarkerSet;
  readonly #afterCall: MarkerSet;

  constructor(syntax: TagSyntax) {
    this.#syntax = syntax;
    this.#keyCloses = new MarkerSet(syntax.keyCloses);
    this.#structure = new MarkerSet([syntax.keyOpens, syntax.callCloses, ...syntax.wrapperCloses]);
    const entities = syntax.decodesEntities ? Object.keys(ENTITIES) : [];
    this.#valueEnds = new MarkerSet([syntax.valueCloses, syntax.callCloses, ...entities]);
    this.#valueOpens = new MarkerSet(syntax.valueOpens === undefined ? [] : [syntax.valueOpens]);
    this.#afterCall = new MarkerSet(syntax.wrapperCloses);
  }

  /**
   * Reads what follows the name of a call, up to its end. The call begins when its first argument or its end is there:
   * until then the name may just be talked about.
   */
  *read(context: CallContext, name: string, sinkFor?: SinkFor): Step<void> {
    yield* takeSpace(context.input);
    if ((yield* markerHere(context.input, this.#structure)) === undefined || !context.begin(name)) return;
    const object = new ArgumentsObject(context.writer);
    const makeSink = sinkFor ?? this.#typedSink(context, name);
    for (;;) {
      const marker = yield* this.#nextTag(context);
      if (marker === undefined) return;
      if (marker !== this.#syntax.keyOpens) return object.end();
      const end = yield* this.#argument(context, object, makeSink);
      if (end === "call") return object.end();
    }
  }

  #typedSink({ tools }: CallContext, name: string): SinkFor {
    return (object, key) => createValueSink(object, tools.types(name, key), this.#syntax);
  }

  /** Consumes up to the next tag of the call and that. Text between tags is text. */
  *#nextTag({ input, writer }: CallContext): Step<string | undefined> {
    yield* takeSpace(input);
    return (yield* takeMarker(input, this.#structure)) ?? (yield* textUntil(input, this.#structure, writer.text));
  }

  /** Reads one argument from its key on. */
  *#argument({ input, writer }: CallContext, object: ArgumentsObject, makeSink: SinkFor): Step<ValueEnd> {
    input.record();
    const key = yield* this.#key(input);
    const raw = input.stopRecording();
    if (key === undefined) {
      writer.text(this.#syntax.keyOpens + raw);
      return "value";
    }
    object.key(key.text);
    const sink = makeSink(object, key.text, key.marker);
    const end = yield* this.#value(input, sink);
    if (end === "cut") sink.cut();
    else sink.end();
    return end;
  }

  *#key(input: TextInput): Step<ShortText | undefined> {
    const key = yield* takeShort(input, this.#keyCloses);
    if (key === undefined || this.#valueOpens.markers.length === 0) return key;
    yield* takeSpace(input);
    return (yield* takeMarker(input, this.#valueOpens)) === undefined ? undefined : key;
  }

  *#value(input: TextInput, sink: ValueSink): Step<ValueEnd> {
    const emit = (text: string): void => sink.text(text);
    for (;;) {
      const marker = yield* textUntil(input, this.#valueEnds, emit);
      if (marker === undefined) return "cut";
      const entity = ENTITIES[marker];
      if (entity !== undefined) {
        sink.text(entity);
        continue;
      }
      const space = yield* takeSpace(input);
      if (marker === this.#syntax.valueCloses) {
        if (yield* isFollowed(input, this.#structure)) return "value";
      } else if ((yield* markerHere(input, this.#afterCall)) !== undefined) {
        return "call";
      }
      sink.text(marker + space);
    }
  }
}

/** A marker stands here, or the answer is over before it is known. */
function* isFollowed(input: TextInput, markers: MarkerSet): Step<boolean> {
  if ((yield* markerHere(input, markers)) !== undefined) return true;
  return input.isEnded && markers.at(input.text, input.at, true) === "";
}
