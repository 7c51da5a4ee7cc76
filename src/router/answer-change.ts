import type { JsonObject } from "../protocol/json/json.ts";
import type { Instead, Verdict } from "../transport/sse-framer.ts";

/** What becomes of an event that a change has looked at. */
export interface ChangedEvent {
  /** Events that come before it, each as JSON. */
  readonly before: readonly string[];
  /** What its data is now; undefined where the event is left out. */
  readonly data: string | undefined;
  /** `data` as a value, where the change has it: then nobody parses it again. */
  readonly value: JsonObject | undefined;
}

/** Changes a worker's answer on its way to the client: a stream event by event, another answer as a whole. */
export interface AnswerChange {
  /** Only what has this text is given to the change; undefined: everything is. */
  readonly marker: string | undefined;
  /**
   * Whether the change must see an event that differs from the one before in the text of the answer alone. Where no change
   * does, such an event passes without being read.
   */
  readonly readsText: boolean;
  /** Undefined: the event stays as it is. `data` is one line. */
  event(data: string): ChangedEvent | undefined;
  /** An answer that is no stream. Returns the same bytes where nothing changes. */
  whole(body: Buffer): Uint8Array;
}

/** Says what an event of this name means. `value` is its data where that has been parsed already. */
export type ReadEvent = (name: string | undefined, data: string, value: JsonObject | undefined) => Verdict;

const NOTHING: readonly string[] = [];

/** An event that has been cut out of a stream. */
export interface CutEvent {
  readonly name: string | undefined;
  /** Its lines of data, joined by LF. */
  readonly data: string;
  /** The event as it came, with the blank line behind it. */
  readonly text: string;
}

/**
 * What passes in the place of an event. What is left of the event itself is given to `read`; an event that a change has
 * written is not read, and is given to `onWritten`.
 */
export function changeEvent(
  changes: readonly AnswerChange[],
  { name, data, text }: CutEvent,
  read: ReadEvent,
  onWritten?: (data: string) => void,
): Verdict | Instead {
  // No engine writes JSON in several lines of data, and such an event is left alone.
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

/** The event with other data and the same lines besides. */
function withData(text: string, data: string, now: string): string {
  if (now === data) return text;
  const line = text.startsWith("data:") ? 0 : text.indexOf("\ndata:") + 1;
  const from = text.indexOf(data, line + "data:".length);
  return text.slice(0, from) + now + text.slice(from + data.length);
}
