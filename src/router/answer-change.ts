import type { JsonObject } from "../protocol/json/json.ts";
import type { Instead, Verdict } from "../transport/sse-framer.ts";

/** The result of a change for one event. */
export interface ChangedEvent {
  /** JSON of events to insert before it. */
  readonly before: readonly string[];
  /** The event's new data; undefined where the event is left out. */
  readonly data: string | undefined;
  /** `data` as a value, where the change has it, so that it is not parsed again. */
  readonly value: JsonObject | undefined;
}

/** Changes a worker's answer on its way to the client: a stream event by event, another answer as a whole. */
export interface AnswerChange {
  /** The change gets only events with this text; undefined: all events. */
  readonly marker: string | undefined;
  /**
   * Whether the change must see events that differ from the one before only in the answer's text. If no change must, these events
   * pass without being read.
   */
  readonly readsText: boolean;
  /** Returns undefined to leave the event unchanged. `data` is one line. */
  event(data: string): ChangedEvent | undefined;
  /** Changes an answer that is not a stream. Returns the same bytes where nothing changes. */
  whole(body: Buffer): Uint8Array;
}

/** Returns the meaning of an event with this name. `value` is its parsed data, where that exists. */
export type ReadEvent = (name: string | undefined, data: string, value: JsonObject | undefined) => Verdict;

const NOTHING: readonly string[] = [];

/** An event that has been cut out of a stream. */
export interface CutEvent {
  readonly name: string | undefined;
  /** Its lines of data, joined by LF. */
  readonly data: string;
  /** The original event, with the blank line after it. */
  readonly text: string;
}

/**
 * Returns the text that passes in place of an event. The remaining event itself goes to `read`. An event that a change wrote is not
 * read, and goes to `onWritten`.
 */
export function changeEvent(
  changes: readonly AnswerChange[],
  { name, data, text }: CutEvent,
  read: ReadEvent,
  onWritten?: (data: string) => void,
): Verdict | Instead {
  // No engine writes JSON in several data lines, so such an event stays unchanged.
  if (data.includes("\n")) return read(name, data, undefined);
  let before = NOTHING;
  let now = data;
  let value: JsonObject | undefined;
  let isLeftOut = false;
  for (const change of changes) {
    const made = change.marker === undefined || now.includes(change.marker) ? change.event(now) : undefined;
    if (!made) continue;
    if (made.before.length > 0) before = before === NOTHING ? made.before : [...before, ...made.before];
    value = made.value;
    isLeftOut = made.data === undefined;
    if (made.data === undefined) break;
    now = made.data;
  }
  if (onWritten) for (const json of before) onWritten(json);
  const verdict = isLeftOut ? "drop" : read(name, now, value);
  const isShown = verdict !== "drop" && verdict !== "stop";
  if (before === NOTHING && (now === data || !isShown)) return verdict;
  return {
    bytes: Buffer.from(framesOf(before) + (isShown ? withData(text, data, now) : "")),
    events: before.length + (verdict === "pass" ? 1 : 0),
    isLast: verdict === "last" || verdict === "stop",
  };
}

function framesOf(events: readonly string[]): string {
  let frames = "";
  for (const json of events) frames += `data: ${json}\n\n`;
  return frames;
}

/** The event with new data and all other lines unchanged. */
function withData(text: string, data: string, now: string): string {
  if (now === data) return text;
  const line = text.startsWith("data:") ? 0 : text.indexOf("\ndata:") + 1;
  const from = text.indexOf(data, line + "data:".length);
  return text.slice(0, from) + now + text.slice(from + data.length);
}
