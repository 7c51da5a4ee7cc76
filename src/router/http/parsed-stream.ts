import type { OutputParserOptions } from "../../parser/create-output-parser.ts";
import { isJsonObject, type JsonObject, jsonObjectOf, numberField } from "../../protocol/json/json.ts";
import { isEndMarker } from "../../protocol/stream-reader.ts";
import { dataOf } from "../event-response.ts";
import { type ChoiceChange, isEmpty, ParsedChoice, UNCHANGED } from "./parsed-choice.ts";

/** Members that say what all events of a stream have in common. */
const HEAD = ["id", "object", "created", "model", "system_fingerprint", "service_tier"] as const;
const HEAD_AND_CHOICES: readonly string[] = [...HEAD, "choices"];

/**
 * The events of one chat stream, with the text of each answer taken apart. An event whose text is all content is the same
 * bytes, and another keeps all its other members.
 */
export class ParsedStream {
  readonly #options: OutputParserOptions;
  readonly #choices = new Map<number, ParsedChoice>();
  /** Of the last event that had one, for events of our own. */
  #head: JsonObject = {};

  constructor(options: OutputParserOptions) {
    this.#options = options;
  }

  /** What comes in the place of an event, in pieces: nothing, the event, or several. */
  take(event: Buffer): readonly Uint8Array[] {
    const span = dataOf(event);
    const data = span && event.toString("utf8", span.start, span.end);
    if (!span || data === undefined) return [event];
    if (isEndMarker(data)) return [...this.#ends(), event];
    // What is no object is passed on as it is: whoever relays it says what is wrong with it.
    const value = jsonObjectOf(data);
    const choices = value?.["choices"];
    if (!value || !Array.isArray(choices) || choices.length === 0) return [event];
    const head = headOf(value);
    this.#head = head;
    const changes = choices.map((choice: unknown) => this.#take(choice));
    if (changes.every((change) => change === UNCHANGED)) return [event];
    const before = changes.flatMap((change, at) => framesOf(head, indexOf(choices[at]), change.before));
    if (changes.every(({ isIdle }) => isIdle) && isEmpty(value, HEAD_AND_CHOICES)) return before;
    const json = JSON.stringify({ ...value, choices: choices.map((choice, at) => apply(choice, changes[at])) });
    return [...before, event.subarray(0, span.start), Buffer.from(json), event.subarray(span.end)];
  }

  #take(choice: unknown): ChoiceChange {
    if (!isJsonObject(choice)) return UNCHANGED;
    const index = indexOf(choice);
    let parsed = this.#choices.get(index);
    if (!parsed) this.#choices.set(index, (parsed = new ParsedChoice(this.#options)));
    return parsed.take(choice);
  }

  /** What is held of answers that have not said why they ended. */
  #ends(): Uint8Array[] {
    return [...this.#choices].flatMap(([index, choice]) => framesOf(this.#head, index, choice.end()));
  }
}

function indexOf(choice: unknown): number {
  return isJsonObject(choice) ? (numberField(choice, "index") ?? 0) : 0;
}

function headOf(event: JsonObject): JsonObject {
  const there = HEAD.filter((name) => event[name] !== undefined).map((name) => [name, event[name]]);
  return { ...Object.fromEntries(there), ...("usage" in event ? { usage: null } : {}) };
}

function framesOf(head: JsonObject, index: number, deltas: readonly JsonObject[]): Uint8Array[] {
  return deltas.map((delta) => {
    const choice = { index, delta, logprobs: null, finish_reason: null };
    return Buffer.from(`data: ${JSON.stringify({ ...head, choices: [choice] })}\n\n`);
  });
}

function apply(choice: unknown, { delta, finishReason }: ChoiceChange = UNCHANGED): unknown {
  if (!isJsonObject(choice)) return choice;
  return {
    ...choice,
    ...(delta ? { delta } : {}),
    ...(finishReason === undefined ? {} : { finish_reason: finishReason }),
  };
}
