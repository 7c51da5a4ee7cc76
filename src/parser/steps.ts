import type { MarkerSet } from "./marker-set.ts";
import { NEED, type Step, type TextInput } from "./text-input.ts";

/** Longest name of a tool, key of an argument or header of a message, UTF-16 units. Anything longer is text. */
const MAX_NAME_LENGTH = 256;

/** The next code unit, not consumed; END at the end. */
export function* peekUnit(input: TextInput): Step<number> {
  for (;;) {
    const unit = input.peek();
    if (unit !== NEED) return unit;
    yield;
  }
}

/** The first code unit that is no white space, not consumed; END at the end. */
export function* peekSolid(input: TextInput): Step<number> {
  for (;;) {
    input.takeSpace();
    const unit = input.peek();
    if (unit !== NEED) return unit;
    yield;
  }
}

/** Consumes white space and returns it. */
export function* takeSpace(input: TextInput): Step<string> {
  let space = "";
  for (;;) {
    space += input.takeSpace();
    if (input.peek() !== NEED) return space;
    yield;
  }
}

/** Passes on text up to a marker, consumes the marker and returns it; undefined at the end of the text. */
export function textUntil(
  input: TextInput,
  markers: MarkerSet,
  emit: (text: string) => void,
): Step<string | undefined> {
  return passText(input, markers, emit, true);
}

/** Passes on text up to a marker and returns the marker without consuming it; undefined at the end of the text. */
export function textBefore(
  input: TextInput,
  markers: MarkerSet,
  emit: (text: string) => void,
): Step<string | undefined> {
  return passText(input, markers, emit, false);
}

// One generator for both functions: every generator around another one costs time at each piece of an answer.
function* passText(
  input: TextInput,
  markers: MarkerSet,
  emit: (text: string) => void,
  takesMarker: boolean,
): Step<string | undefined> {
  for (;;) {
    const text = input.takeText(markers);
    if (text !== "") emit(text);
    if (input.at < input.text.length) {
      const marker = markers.at(input.text, input.at, input.isEnded);
      if (marker !== undefined && marker !== "") return takesMarker ? input.takeTo(input.at + marker.length) : marker;
    }
    if (input.isDone) return undefined;
    yield;
  }
}

/** The marker that stands here, not consumed. */
export function* markerHere(input: TextInput, markers: MarkerSet): Step<string | undefined> {
  for (;;) {
    const marker = markers.at(input.text, input.at, input.isEnded);
    if (marker !== "") return marker;
    if (input.isEnded) return undefined;
    yield;
  }
}

/** Consumes the marker that stands here. */
export function* takeMarker(input: TextInput, markers: MarkerSet): Step<string | undefined> {
  const marker = yield* markerHere(input, markers);
  return marker === undefined ? undefined : input.takeTo(input.at + marker.length);
}

/** Consumes a name: letters, digits and joining characters. "" where none stands here, or where it is too long. */
export function* takeName(input: TextInput): Step<string> {
  let name = "";
  for (;;) {
    const most = Math.min(input.text.length, input.at + MAX_NAME_LENGTH - name.length);
    let end = input.at;
    while (end < most && isNameUnit(input.text.charCodeAt(end))) end += 1;
    name += input.takeTo(end);
    if (name.length === MAX_NAME_LENGTH) return "";
    if (input.peek() !== NEED) return name;
    yield;
  }
}

/** Consumes a name and the marker right after it; "" where they do not stand here. */
export function* takeNameBefore(input: TextInput, markers: MarkerSet): Step<string> {
  const name = yield* takeName(input);
  if (name === "") return "";
  return (yield* takeMarker(input, markers)) === undefined ? "" : name;
}

export interface ShortText {
  readonly text: string;
  readonly marker: string;
}

/** Consumes text and the marker after it; both must be in one line, and the text at most as long as a name. */
export function* takeShort(input: TextInput, markers: MarkerSet): Step<ShortText | undefined> {
  let text = "";
  for (;;) {
    const most = Math.min(input.text.length, input.at + MAX_NAME_LENGTH - text.length);
    const found = markers.find(input.text, input.at, most);
    const line = input.text.slice(input.at, found).indexOf("\n");
    text += input.takeTo(line < 0 ? found : input.at + line);
    if (line >= 0 || text.length === MAX_NAME_LENGTH) return undefined;
    const marker = yield* takeMarker(input, markers);
    if (marker !== undefined) return { text, marker };
    if (!input.isEnded) continue;
    // The text is over, so the beginning of a marker is text.
    input.takeTo(Math.min(input.text.length, input.at + MAX_NAME_LENGTH - text.length));
    return undefined;
  }
}

/** Whether the unit may stand in the name of a tool. */
export function isNameUnit(unit: number): boolean {
  if (unit >= 0x61 && unit <= 0x7a) return true;
  if (unit >= 0x2d && unit <= 0x3a) return true; // - . / 0-9 :
  if ((unit >= 0x41 && unit <= 0x5a) || unit === 0x5f) return true;
  // Letters of other alphabets, without the bars and spaces of DeepSeek's markers.
  return unit >= 0xaa && unit !== 0xff5c && unit !== 0x2581 && unit !== 0x3000;
}
