import type { ChannelContext, ChannelFormat } from "../call-format.ts";
import { MarkerSet } from "../marker-set.ts";
import { markerHere, takeShort, takeSpace, textUntil } from "../steps.ts";
import type { Step } from "../text-input.ts";

const START = "<|start|>";
const CHANNEL = "<|channel|>";
const CONSTRAIN = "<|constrain|>";
const MESSAGE = "<|message|>";
const ANALYSIS = `${CHANNEL}analysis`;
const ENDS = ["<|end|>", "<|return|>", "<|call|>"];

const BETWEEN = new MarkerSet([START, CHANNEL, MESSAGE, ...ENDS]);
const IN_HEADER = new MarkerSet([START, CHANNEL, CONSTRAIN, MESSAGE, ...ENDS]);
const RECIPIENT = new MarkerSet(["to="]);
const IN_BODY = new MarkerSet([START, CHANNEL, ...ENDS]);

/**
 * gpt-oss: messages with a header that says their channel and, for calls, the recipient, in any order. The prompt ends
 * in `<|start|>assistant`, so the answer begins within a header: with the channel or with a recipient.
 *
 *   between --start, channel--> header --message--> body --end, return, call--> between
 */
export const harmony: ChannelFormat = { opensReasoning: `${ANALYSIS}${MESSAGE}`, readAll };

function* readAll(context: ChannelContext): Step<void> {
  const { input, writer } = context;
  let marker = context.startsInReasoning ? yield* readBody(context, ANALYSIS) : yield* readStart(context);
  while (marker !== undefined) {
    if (marker === START || marker === CHANNEL) marker = yield* readMessage(context, marker);
    else if (marker === MESSAGE) marker = yield* readBody(context, "");
    else marker = yield* textUntil(input, BETWEEN, writer.text);
  }
}

/** Reads the text before the first marker, or the first message if the answer begins with a recipient. */
function* readStart(context: ChannelContext): Step<string | undefined> {
  const { input, writer } = context;
  const space = yield* takeSpace(input);
  if ((yield* markerHere(input, RECIPIENT)) !== undefined) return yield* readMessage(context, space);
  writer.text(space);
  return yield* textUntil(input, BETWEEN, writer.text);
}

/** Reads a message from its header on and returns the marker after it. */
function* readMessage(context: ChannelContext, opener: string): Step<string | undefined> {
  const { input, writer } = context;
  let header = opener;
  input.record(opener);
  for (;;) {
    const part = yield* takeShort(input, IN_HEADER);
    if (part === undefined) {
      writer.text(input.stopRecording());
      return yield* textUntil(input, BETWEEN, writer.text);
    }
    header += part.text;
    if (part.marker === MESSAGE) {
      input.stopRecording();
      return yield* readBody(context, header);
    }
    if (part.marker !== CHANNEL && part.marker !== CONSTRAIN) {
      // It is not a message, so the text is content.
      input.stopRecording();
      writer.text(header);
      return part.marker;
    }
    header += part.marker;
  }
}

/** Reads the body of a message and returns the marker after it. */
function* readBody(context: ChannelContext, header: string): Step<string | undefined> {
  const { input, writer } = context;
  const recipient = /\bto=([^\s<]+)/.exec(header)?.[1];
  const tool = recipient === undefined ? undefined : toolName(recipient);
  if (context.hasCalls && tool !== undefined) return yield* readCall(context, tool);
  const isAnalysis = /<\|channel\|>\s*analysis/.test(header);
  if (context.hasReasoning && isAnalysis) writer.beginReasoning();
  else if (writer.isReasoning) writer.endReasoning();
  const marker = yield* textUntil(input, IN_BODY, writer.text);
  if (writer.isReasoning) writer.endReasoning();
  return marker;
}

function* readCall({ input, writer }: ChannelContext, name: string): Step<string | undefined> {
  writer.beginCall(name);
  let isEmpty = true;
  const marker = yield* textUntil(input, IN_BODY, (text) => {
    isEmpty = false;
    writer.arguments(text);
  });
  if (isEmpty && marker !== undefined) writer.arguments("{}");
  return marker;
}

/** The tool that a recipient names; undefined for people and roles. */
function toolName(recipient: string): string | undefined {
  if (recipient === "user" || recipient === "assistant" || recipient === "all") return undefined;
  return recipient.startsWith("functions.") ? recipient.slice("functions.".length) : recipient;
}
