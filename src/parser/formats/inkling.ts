import type { CallContext, ChannelContext, ChannelFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { MarkerSet } from "../marker-set.ts";
import { takeShort, textUntil } from "../steps.ts";
import type { Step } from "../text-input.ts";

const MESSAGE = "<|message_model|>";
const END = "<|end_message|>";
const DONE = "<|content_model_end_sampling|>";
const THINKING = "<|content_thinking|>";
const TEXT = "<|content_text|>";
const JSON_CALL = "<|content_invoke_tool_json|>";
const TEXT_CALL = "<|content_invoke_tool_text|>";

const CONTENTS = new MarkerSet([THINKING, TEXT, JSON_CALL, TEXT_CALL, MESSAGE, END, DONE]);
const CALL_ENDS = new MarkerSet([END, DONE, MESSAGE]);

/** Inkling: messages of typed contents. Text between the message token and the type is metadata. */
export const inkling: ChannelFormat = { opensReasoning: THINKING, readAll };

function* readAll(context: ChannelContext): Step<void> {
  const { input, writer } = context;
  if (context.startsInReasoning && context.hasReasoning) writer.beginReasoning();
  for (;;) {
    let marker = yield* textUntil(input, CONTENTS, writer.text);
    if (marker === MESSAGE) marker = yield* readHeader(context);
    if (marker === undefined) return;
    if (writer.isReasoning) writer.endReasoning();
    if (marker === THINKING && context.hasReasoning) writer.beginReasoning();
    if (marker === JSON_CALL && context.hasCalls) yield* readCall(context, marker);
    // A call that is not JSON cannot be passed on as a call.
    if (marker === TEXT_CALL) writer.text(marker);
  }
}

/** Skips metadata and returns the type after it. Text that is not metadata is content. */
function* readHeader({ input, writer }: ChannelContext): Step<string> {
  input.record();
  const header = yield* takeShort(input, CONTENTS);
  const raw = input.stopRecording();
  if (header !== undefined) return header.marker;
  writer.text(raw);
  return "";
}

function* readCall(context: ChannelContext, opener: string): Step<void> {
  const { input, writer, tools } = context;
  const call: CallContext = {
    input,
    writer,
    tools,
    isMarked: true,
    begin(name) {
      input.stopRecording();
      writer.beginCall(name);
      return true;
    },
  };
  input.record(opener);
  yield* readJsonCalls(call, CALL_ENDS);
  const rest = input.stopRecording();
  if (rest !== "") writer.text(rest);
}
