import type { CallContext } from "./call-format.ts";
import { isJson, jsonString, passJson } from "./json-value.ts";
import { passLoose } from "./loose-json.ts";
import type { MarkerSet } from "./marker-set.ts";
import { markerHere, peekSolid } from "./steps.ts";
import type { Step, TextInput } from "./text-input.ts";
import { OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../util/ascii.ts";

/**
 * Passes on arguments that are a member of an object, up to their end, or up to the end of the object or a marker of `ends`.
 * Broken JSON passes unchanged. Returns false if the text ended within the arguments.
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
 * Passes on JSON arguments that stand alone before an end marker. Missing arguments become `{}`. Broken JSON passes
 * unchanged, up to the marker.
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

/** Passes on the JSON that begins with `unit`. `isMember`: it may be nearly JSON, and ends at the latest with the object around it. */
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

/** Passes on arguments that are no object. A string that holds JSON is unwrapped; null and an empty text are no arguments. */
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

/** Passes on everything up to one of `ends`, which is not consumed. */
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
