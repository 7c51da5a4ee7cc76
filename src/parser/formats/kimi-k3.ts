import { jsonOrString } from "../argument-value.ts";
import { ArgumentsObject } from "../arguments-object.ts";
import type { ChannelContext, ChannelFormat } from "../call-format.ts";
import { MarkerSet } from "../marker-set.ts";
import { takeMarker, takeShort, takeSpace, textUntil } from "../steps.ts";
import type { Step } from "../text-input.ts";
import { StringSink, WholeSink } from "../value-sink.ts";

const OPEN = "<|open|>";
const CLOSE = "<|close|>";
const TAGS = new MarkerSet([OPEN, CLOSE, "<|end_of_msg|>"]);
const SEPARATOR = new MarkerSet(["<|sep|>"]);
const VALUE_END = new MarkerSet([CLOSE]);
const ARGUMENT = new MarkerSet(["argument"]);
const JSON_ARGUMENTS = new MarkerSet(["json"]);

/** Kimi K3: elements of special tokens, `<|open|>NAME ATTRIBUTES<|sep|>` to `<|close|>NAME<|sep|>`. */
export const kimiK3: ChannelFormat = {
  opensReasoning: "<|open|>think<|sep|>",
  readAll: (context) => new KimiK3(context).run(),
  callId: (name, number) => `${name}:${number}`,
};

class KimiK3 {
  readonly #context: ChannelContext;
  /** The arguments of the call that is being read. */
  #object: ArgumentsObject | undefined;

  constructor(context: ChannelContext) {
    this.#context = context;
  }

  *run(): Step<void> {
    const { input, writer, hasReasoning, startsInReasoning } = this.#context;
    if (startsInReasoning && hasReasoning) writer.beginReasoning();
    for (;;) {
      const marker = yield* textUntil(input, TAGS, writer.text);
      if (marker === undefined) return;
      if (marker !== OPEN && marker !== CLOSE) continue;
      input.record(marker);
      const tag = yield* takeShort(input, SEPARATOR);
      const raw = input.stopRecording();
      if (tag === undefined) writer.text(raw);
      else if (marker === OPEN) yield* this.#open(tag.text.trim(), raw);
      else this.#close(tag.text.trim(), raw);
    }
  }

  *#open(tag: string, raw: string): Step<void> {
    const { writer, hasReasoning, hasCalls } = this.#context;
    const name = /^\w+/.exec(tag)?.[0] ?? "";
    if (name === "argument" && this.#object) return yield* this.#argument(this.#object, tag, raw);
    if (name === "json" && this.#object?.isEmpty === true) return yield* this.#json();
    if (name === "think" && hasReasoning) return writer.beginReasoning();
    // Any other element ends reasoning that was not closed.
    if (writer.isReasoning) writer.endReasoning();
    const tool = attribute(tag, "tool");
    if (name === "call" && hasCalls && tool !== undefined) {
      this.#endCall();
      writer.beginCall(tool);
      this.#object = new ArgumentsObject(writer);
    } else if (!["think", "message", "response", "tools"].includes(name)) {
      writer.text(raw);
    }
  }

  #close(name: string, raw: string): void {
    const { writer } = this.#context;
    if (["call", "tools", "message"].includes(name)) this.#endCall();
    else if (name === "think" && writer.isReasoning) writer.endReasoning();
    else if (name !== "think" && name !== "response") writer.text(raw);
  }

  #endCall(): void {
    this.#object?.end();
    this.#object = undefined;
  }

  /** All arguments as one JSON object. */
  *#json(): Step<void> {
    this.#object = undefined;
    const { writer } = this.#context;
    yield* this.#value(JSON_ARGUMENTS, writer.arguments);
  }

  *#argument(object: ArgumentsObject, tag: string, raw: string): Step<void> {
    const key = attribute(tag, "key");
    if (key === undefined) return this.#context.writer.text(raw);
    object.key(key);
    const isString = attribute(tag, "type") === "string";
    const sink = isString ? new StringSink(object, "kept") : new WholeSink(object, jsonOrString, "kept");
    if (yield* this.#value(ARGUMENT, (text) => sink.text(text))) sink.end(false);
    else sink.cut();
  }

  /** Passes on the text up to the end of an element. Returns false if the answer ends before. */
  *#value(name: MarkerSet, emit: (text: string) => void): Step<boolean> {
    const { input } = this.#context;
    for (;;) {
      const marker = yield* textUntil(input, VALUE_END, emit);
      if (marker === undefined) return false;
      input.record(marker);
      yield* takeSpace(input);
      const isName = (yield* takeMarker(input, name)) !== undefined;
      yield* takeSpace(input);
      const isEnd = isName && (yield* takeMarker(input, SEPARATOR)) !== undefined;
      const raw = input.stopRecording();
      if (isEnd) return true;
      emit(raw);
    }
  }
}

function attribute(tag: string, name: string): string | undefined {
  const value = new RegExp(`\\s${name}\\s*=\\s*"([^"]*)"`).exec(tag)?.[1];
  return value?.replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}
