import { isFinishReason } from "./finish-reason.ts";
import { isJsonObject, type JsonObject, numberField, stringField } from "./json/json.ts";
import type { ErrorFacts } from "./error-facts.ts";
import type { EventTemplate } from "./event-template.ts";
import { mergeUsage, readUsage, type Usage } from "./usage.ts";

/** An error that the engine told within a stream. */
export interface EngineFailure {
  readonly message: string;
  /** HTTP status that the engine meant, where it said one. */
  readonly status: number | undefined;
}

/** What an event of a stream means for who passes it on. */
export type EventMeaning =
  | { readonly kind: "data" }
  /** Says that the connection lives, and nothing of the answer. */
  | { readonly kind: "aside" }
  /** The last one: nothing follows it. */
  | { readonly kind: "end" }
  /** Not passed on as it is; nothing follows it. */
  | { readonly kind: "failure"; readonly failure: EngineFailure };

export const DATA: EventMeaning = { kind: "data" };
export const ASIDE: EventMeaning = { kind: "aside" };
export const END: EventMeaning = { kind: "end" };

/** The marker behind the last event of most APIs; some workers write white space around it. */
export function isEndMarker(data: string): boolean {
  return data === END_MARKER || (data.length <= LONGEST_MARKER && data.trim() === END_MARKER);
}

const END_MARKER = "[DONE]";
const LONGEST_MARKER = 32;

/** Follows one stream, event by event. */
export interface StreamReader {
  /**
   * `name` is the `event:` field, `data` the data lines joined, and `value` the data where they have been parsed already.
   * Throws SyntaxError where data is not what the API has.
   */
  onEvent(name: string | undefined, data: string, value?: JsonObject): EventMeaning;
  /** Knows events that need no reading. */
  readonly known?: EventTemplate;
  /** So many answers have said why they stopped, and none runs on, so that only the end marker can be missing. */
  hasFinished(answers: number): boolean;
  readonly usage: Usage | undefined;
  /** The event that tells of an error at this point of the stream, where it is another than the dialect's. */
  errorEvent?(facts: ErrorFacts): string;
}

/** Data as an object. Throws SyntaxError. */
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

/**
 * `{error: {message, code}}`, `{error: "text"}`, `{object: "error", message, code}`: as OpenAI, SGLang and older vLLM say it;
 * or whatever comes as an event of that name.
 */
export function engineFailure(event: JsonObject, name?: string): EngineFailure | undefined {
  const error = errorIn(event) ?? (name === "error" ? event : undefined);
  if (!error) return undefined;
  const code = numberField(error, "code") ?? numberField(event, "status_code");
  return {
    message: stringField(error, "message") ?? stringField(event, "error") ?? "the engine failed within the stream",
    status: code !== undefined && code >= 400 && code < 600 ? code : undefined,
  };
}

/** An error that is empty beside other members is none: some engines write one into every event. */
function errorIn(event: JsonObject): JsonObject | undefined {
  const { error } = event;
  if (event["object"] === "error") return isJsonObject(error) ? error : event;
  if (typeof error === "string") return error !== "" || isAlone(event) ? event : undefined;
  if (!isJsonObject(error)) return undefined;
  return isAlone(event) || Object.values(error).some((value) => value !== null && value !== "") ? error : undefined;
}

function isAlone(event: JsonObject): boolean {
  return Object.keys(event).length === 1;
}

/** Which answers of a stream have said why they stopped. */
export class FinishedAnswers {
  /** By index, answers that have begun and have not said why they stopped. */
  readonly #running = new Set<number>();
  readonly #finished = new Set<number>();

  /** An event of this answer, and what it has as the reason. True where the answer runs on. */
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
