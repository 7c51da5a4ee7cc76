import { isFinishReason } from "./finish-reason.ts";
import type { EngineFailure } from "./engine-failure.ts";
import { isJsonObject, type JsonObject } from "./json/json.ts";
import type { ErrorFacts } from "./error-facts.ts";
import type { EventTemplate } from "./event-template.ts";
import { mergeUsage, readUsage, type Usage } from "./usage.ts";

/** What a stream's event means to the relay that passes it on. */
export type EventMeaning =
  | { readonly kind: "data" }
  /** The event keeps the connection alive or announces the answer: it passes, and is no part of the answer. */
  | { readonly kind: "aside" }
  /** The event is none of the API's, and clients could take it for one: it is left out. */
  | { readonly kind: "nothing" }
  /** The event is the last one. */
  | { readonly kind: "end" }
  /** The event tells of an error. It is the last one, and the relay writes its own error event in its place. */
  | { readonly kind: "failure"; readonly failure: EngineFailure };

/** An event with a part of the answer. */
export const DATA: EventMeaning = { kind: "data" };
/** A comment, a ping or an announcement. */
export const ASIDE: EventMeaning = { kind: "aside" };
/** An event that is left out. */
export const NOTHING: EventMeaning = { kind: "nothing" };
/** The last event. */
export const END: EventMeaning = { kind: "end" };

/** Whether the data are the end marker of most APIs. Some workers write white space around it. */
export function isEndMarker(data: string): boolean {
  return data === END_MARKER || (data.length <= LONGEST_MARKER && data.trim() === END_MARKER);
}

const END_MARKER = "[DONE]";
const LONGEST_MARKER = 32;

/** Reads the events of one stream in their order. */
export interface StreamReader {
  /**
   * Reads one event. `name` is its `event:` field, `data` its joined data lines, and `value` its parsed data where somebody has
   * parsed them already. Throws SyntaxError where the data are not what the API sends.
   */
  onEvent(name: string | undefined, data: string, value?: JsonObject): EventMeaning;
  /** Recognises events that need not be read. */
  readonly known?: EventTemplate;
  /** Whether at least `answers` answers have said why they stopped and none runs on: then only the end marker can be missing. */
  hasFinished(answers: number): boolean;
  readonly usage: Usage | undefined;
  /** How many events have announced the answer so far. Unlike pings, clients need them. */
  readonly announced?: number;
  /** The event that tells of an error at this point of the stream, for APIs in which it depends on what came before. */
  errorEvent?(facts: ErrorFacts): string;
}

/** Parses data that must be an object. Throws SyntaxError. */
export function parseEvent(data: string): JsonObject {
  const value: unknown = JSON.parse(data);
  if (!isJsonObject(value)) throw new SyntaxError("an event must be an object");
  return value;
}

/** Keeps the first and the last usage of a stream. */
export class UsageKeeper {
  #first: Usage | undefined;
  #last: Usage | undefined;

  read(event: JsonObject): void {
    const usage = readUsage(event);
    if (!usage) return;
    this.#first ??= usage;
    this.#last = usage;
  }

  get usage(): Usage | undefined {
    return mergeUsage(this.#first, this.#last);
  }
}

/** Remembers which answers of a stream have said why they stopped. */
export class FinishedAnswers {
  /** Indices of the answers that have begun and not said why they stopped. */
  readonly #running = new Set<number>();
  readonly #finished = new Set<number>();

  /** Notes an event of the answer `index` and its finish reason. True where the answer runs on. */
  read(index: number, reason: unknown): boolean {
    if (!isFinishReason(reason)) {
      this.#running.add(index);
      return true;
    }
    this.#running.delete(index);
    this.#finished.add(index);
    return false;
  }

  areAll(answers: number): boolean {
    return this.#running.size === 0 && this.#finished.size >= answers;
  }
}
