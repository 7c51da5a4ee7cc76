import { jsonOrString } from "../argument-value.ts";
import type { ArgumentsObject } from "../arguments-object.ts";
import type { CallContext, CallFormat } from "../call-format.ts";
import { passAloneArguments } from "../json-arguments.ts";
import { MarkerSet } from "../marker-set.ts";
import { peekSolid, takeMarker, takeNameBefore } from "../steps.ts";
import { TaggedArguments } from "../tagged-call.ts";
import type { Step } from "../text-input.ts";
import { createValueSink, StringSink, type ValueSink, WholeSink } from "../value-sink.ts";
import { OPEN_BRACE } from "../../util/ascii.ts";

const INVOKE = '<｜DSML｜invoke name="';
const STRING = '" string="true">';
const JSON_VALUE = '" string="false">';
const CALL_CLOSE = "</｜DSML｜invoke>";
const NAME_END = new MarkerSet(['">']);
const CALL_END = new MarkerSet([CALL_CLOSE]);

/** DeepSeek V3.2 and V4: tags that say which values are strings. `block` is what the outermost tag is called. */
export function dsml(block: string): CallFormat {
  const opener = `<｜DSML｜${block}>`;
  const closer = `</｜DSML｜${block}>`;
  const rest = new TaggedArguments({
    keyOpens: '<｜DSML｜parameter name="',
    keyCloses: [STRING, JSON_VALUE, '">'],
    valueCloses: "</｜DSML｜parameter>",
    callCloses: CALL_CLOSE,
    wrapperCloses: [closer],
    wrapperOpens: [opener],
    callOpens: INVOKE,
    tagsAreTokens: true,
    lineBreaks: "kept",
  });
  return {
    wrappers: [opener],
    openers: [INVOKE],
    closers: [closer],
    isMarked: true,
    trimsBeforeCalls: true,
    *read(context) {
      const name = yield* takeNameBefore(context.input, NAME_END);
      if (name === "") return;
      if ((yield* peekSolid(context.input)) === OPEN_BRACE) yield* readWhole(context, name);
      else yield* rest.read(context, name, (object, key, kind) => sinkFor(context, name, object, key, kind));
    },
  };
}

/** All arguments as one JSON object. */
function* readWhole(context: CallContext, name: string): Step<void> {
  const { input } = context;
  if (!context.begin(name)) return;
  yield* passAloneArguments(context, CALL_END);
  input.record();
  yield* peekSolid(input);
  if ((yield* takeMarker(input, CALL_END)) !== undefined) input.stopRecording();
}

function sinkFor({ tools }: CallContext, name: string, object: ArgumentsObject, key: string, kind: string): ValueSink {
  if (kind === STRING) return new StringSink(object, "kept");
  if (kind === JSON_VALUE) return new WholeSink(object, jsonOrString, "kept");
  return createValueSink(object, tools.schemaOf(name).member(key), "kept");
}
