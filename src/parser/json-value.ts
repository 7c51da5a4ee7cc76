import { JsonExtent } from "./json-extent.ts";
import { passLoose } from "./loose-json.ts";
import { MarkerSet } from "./marker-set.ts";
import { takeMarker, takeSpace } from "./steps.ts";
import type { Step, TextInput } from "./text-input.ts";

/** No marker ends the value. */
export const NO_ENDS = new MarkerSet([]);

/**
 * Consumes a JSON value and passes it on as it arrives, with control characters in strings escaped. Returns false if the
 * text is not JSON or ends within the value; the part before has then been passed on. `ends`: markers that end a string
 * which was not closed, if only such markers follow. `isLoose`: also takes a value that is nearly JSON.
 */
export function* passJson(
  input: TextInput,
  emit: (text: string) => void,
  ends = NO_ENDS,
  isLoose = false,
): Step<boolean> {
  const extent = new JsonExtent(ends);
  for (;;) {
    const end = extent.read(input.text, input.at);
    if (end > input.at) emit(input.takeTo(end));
    if (extent.state === "control") {
      emit(escaped(input.takeTo(end + 1)));
      extent.state = "reading";
    } else if (extent.state === "marker") {
      const text = yield* takeInString(input, ends);
      if (text === undefined) return false;
      emit(text);
      extent.state = "reading";
    } else {
      if (extent.state === "failed" && isLoose)
        return yield* passLoose(input, ends, extent.closers, extent.mayQuote, emit);
      if (extent.state !== "reading") return extent.state === "done";
      if (input.isEnded) return extent.canEnd;
      yield;
    }
  }
}

/** Consumes markers within a string and the white space after them, or one unit if no marker is here. Returns undefined if the text ends with them. */
function* takeInString(input: TextInput, ends: MarkerSet): Step<string | undefined> {
  let text = "";
  for (;;) {
    const marker = yield* takeMarker(input, ends);
    if (marker === undefined) break;
    text += marker + escaped(yield* takeSpace(input));
  }
  if (text === "") return input.takeTo(input.at + 1);
  return input.isDone ? undefined : text;
}

/** Escapes the text for a JSON string. */
function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** Passes on, unchanged, the rest of a JSON value whose beginning `seen` was consumed, as far as it is JSON. Returns false if the value does not end. */
export function* passRest(input: TextInput, seen: string, emit: (text: string) => void): Step<boolean> {
  const extent = new JsonExtent(NO_ENDS);
  let at = 0;
  while (at < seen.length && extent.state !== "failed" && extent.state !== "done") {
    extent.state = "reading";
    at = Math.max(extent.read(seen, at), at + 1);
  }
  while (extent.state === "reading" || extent.state === "control") {
    const isControl = extent.state === "control";
    extent.state = "reading";
    const end = isControl ? input.at + 1 : extent.read(input.text, input.at);
    if (end > input.at) emit(input.takeTo(end));
    if (input.isDone) break;
    if (extent.state === "reading" && input.at >= input.text.length) yield;
  }
  return extent.state === "done";
}

/** Consumes a JSON string and returns its value; undefined where none stands here. */
export function* takeJsonString(input: TextInput): Step<string | undefined> {
  let raw = "";
  const isWhole = yield* passJson(input, (text) => (raw += text));
  return isWhole ? jsonString(raw) : undefined;
}

/** The value of a JSON string literal; undefined where the text is not one. */
export function jsonString(text: string): string | undefined {
  const value = parseJson(text);
  return typeof value === "string" ? value : undefined;
}

/** Whether the text is valid JSON. */
export function isJson(text: string): boolean {
  return parseJson(text) !== undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The text is not JSON, or nested deeper than JSON.parse goes. undefined is free as a sign, because no JSON value is undefined.
    return undefined;
  }
}
