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

const STRING = '" string="true">';
const JSON_VALUE = '" string="false">';
const NAME_END = new MarkerSet(['">']);

/**
 * DeepSeek V3.2 and later: tags that say which values are strings. `block` is the name of the outermost tag; `space`
 * stands before the names of all tags.
 */
export function dsml(block: string, space = ""): CallFormat {
  const opener = `<｜DSML｜${space}${block}>`;
  const closer = `</｜DSML｜${space}${block}>`;
  const callOpens = `<｜DSML｜${space}invoke name="`;
  const callCloses = `</｜DSML｜${space}invoke>`;
  const callEnd = new MarkerSet([callCloses]);
  const ends = new MarkerSet([callCloses, closer]);
  const rest = new TaggedArguments({
    keyOpens: `<｜DSML｜${space}parameter name="`,
    keyCloses: [STRING, JSON_VALUE, '">'],
    valueCloses: `</｜DSML｜${space}parameter>`,
    callCloses,
    wrapperCloses: [closer],
    wrapperOpens: [opener],
    callOpens,
    tagsAreTokens: true,
    lineBreaks: "kept",
  });
  return {
    wrappers: [opener],
    openers: [callOpens],
    closers: [closer],
    isMarked: true,
    trimsBeforeCalls: true,
    *read(context) {
      const name = yield* takeNameBefore(context.input, NAME_END);
      if (name === "") return;
      if ((yield* peekSolid(context.input)) === OPEN_BRACE) yield* readWhole(context, name, ends, callEnd);
      else yield* rest.read(context, name, (object, key, kind) => sinkFor(context, name, object, key, kind));
    },
  };
}

/** All arguments as one JSON object, up to one of `ends`; `callEnd` is consumed. */
function* readWhole(context: CallContext, name: string, ends: MarkerSet, callEnd: MarkerSet): Step<void> {
  const { input } = context;
  if (!context.begin(name)) return;
  yield* passAloneArguments(context, ends);
  input.record();
  yield* peekSolid(input);
  if ((yield* takeMarker(input, callEnd)) !== undefined) input.stopRecording();
}

function sinkFor({ tools }: CallContext, name: string, object: ArgumentsObject, key: string, kind: string): ValueSink {
  if (kind === STRING) return new StringSink(object, "kept");
  if (kind === JSON_VALUE) return new WholeSink(object, jsonOrString, "kept");
  return createValueSink(object, tools.schemaOf(name).member(key), "kept");
}
