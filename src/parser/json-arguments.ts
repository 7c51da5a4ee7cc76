import type { CallContext } from "./call-format.ts";
import { isJson, jsonString, passJson } from "./json-value.ts";
import { passLoose } from "./loose-json.ts";
import type { MarkerSet } from "./marker-set.ts";
import { markerHere, peekSolid } from "./steps.ts";
import type { Step, TextInput } from "./text-input.ts";
import { OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../util/ascii.ts";

/**
 * Passes on arguments that are a member of an object: up to their end, or as far as the object and `ends` let them go.
 * What is broken goes through as it is. False where the text ended within.
 */
export function passMemberArguments(
  input: TextInput,
  unit: number,
  ends: MarkerSet,
  emit: (text: string) => void,
): Step<boolean> {
  return passArguments(input, unit, ends, true, emit);
}

/**
 * Passes on JSON arguments that stand alone before an end marker; none at all are `{}`. What is broken goes through as it
 * is, up to the marker.
 */
export function* passAloneArguments({ input, writer }: CallContext, ends: MarkerSet): Step<void> {
  const unit = yield* peekSolid(input);
  if (unit === OPEN_BRACE || unit === OPEN_BRACKET || unit === QUOTE) {
    if (!(yield* passArguments(input, unit, ends, false, writer.arguments))) {
      yield* passRaw(input, ends, writer.arguments);
    }
    return;
  }
  let raw = "";
  yield* passRaw(input, ends, (text) => (raw += text));
  if (raw !== "" || !input.isDone) writer.arguments(raw === "" || raw.trim() === "null" ? "{}" : raw);
}

/** The JSON that begins with `unit`. `isMember`: it ends with the object around it, and may be nearly JSON. */
function passArguments(
  input: TextInput,
  unit: number,
  ends: MarkerSet,
  isMember: boolean,
  emit: (text: string) => void,
): Step<boolean> {
  if (unit === OPEN_BRACE || unit === OPEN_BRACKET) return passJson(input, emit, ends, isMember);
  return passScalar(input, unit, ends, isMember, emit);
}

/** Arguments that are no object: a string that holds the JSON is unwrapped, null and nothing are no arguments. */
function* passScalar(
  input: TextInput,
  unit: number,
  ends: MarkerSet,
  isMember: boolean,
  emit: (text: string) => void,
): Step<boolean> {
  let raw = "";
  const collect = (text: string): string => (raw += text);
  const isWhole = yield* isMember && unit !== QUOTE
    ? passLoose(input, ends, [], true, collect)
    : passJson(input, collect, ends, isMember);
  raw = raw.trim();
  const unwrapped = isWhole && raw.startsWith('"') ? jsonString(raw) : undefined;
  if (raw === "null" || (raw === "" && isWhole)) emit("{}");
  else emit(unwrapped !== undefined && isJson(unwrapped) ? unwrapped : raw);
  return isWhole;
}

/** Passes on everything up to one of `ends`, which is left where it is. */
export function* passRaw(input: TextInput, ends: MarkerSet, emit: (text: string) => void): Step<void> {
  if (ends.markers.length === 0) return;
  for (;;) {
    const text = input.takeText(ends);
    if (text !== "") emit(text);
    if (input.at < input.text.length && (yield* markerHere(input, ends)) !== undefined) return;
    if (input.isDone) return;
    yield;
  }
}
