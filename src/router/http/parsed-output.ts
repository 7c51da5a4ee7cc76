import type { OutputParserOptions } from "../../parser/create-output-parser.ts";
import { isJsonObject, type JsonObject, jsonObjectOf, numberField } from "../../protocol/json/json.ts";
import { isEndMarker } from "../../protocol/stream-reader.ts";
import type { AnswerChange, ChangedEvent } from "../answer-change.ts";
import { parsedAnswer } from "./parsed-answer.ts";
import { type ChoiceChange, isEmpty, ParsedChoice, UNCHANGED } from "./parsed-choice.ts";

/** Members that all events of a stream share. */
const HEAD = ["id", "object", "created", "model", "system_fingerprint", "service_tier"] as const;
const HEAD_AND_CHOICES: readonly string[] = [...HEAD, "choices"];
const NOTHING: readonly string[] = [];

/**
 * Parses calls and reasoning out of an engine's chat answer, as if the engine had done so. An event whose text is all content stays
 * unchanged; another event keeps all its other members. Text that the parser holds back when the worker is lost is dropped: a
 * worker that continues the shown text writes it again.
 */
export class ParsedOutput implements AnswerChange {
  readonly marker = undefined;
  readonly readsText = true;
  readonly #options: OutputParserOptions;
  readonly #choices = new Map<number, ParsedChoice>();
  /** The last event with choices; inserted events have its head. */
  #last: JsonObject = {};

  constructor(options: OutputParserOptions) {
    this.#options = options;
  }

  event(data: string): ChangedEvent | undefined {
    if (isEndMarker(data)) return this.#ends(data);
    // Data that is not an object stays; the relay reports the error.
    const value = jsonObjectOf(data);
    const choices = value?.["choices"];
    if (!value || !Array.isArray(choices) || choices.length === 0) return undefined;
    this.#last = value;
    const changes = choices.map((choice: unknown) => this.#take(choice));
    if (changes.every((change) => change === UNCHANGED)) return { before: NOTHING, data, value };
    const before = changes.flatMap((change, at) => this.#written(indexOf(choices[at]), change.before));
    if (changes.every(({ isIdle }) => isIdle) && isEmpty(value, HEAD_AND_CHOICES)) {
      return { before, data: undefined, value: undefined };
    }
    const changed = { ...value, choices: choices.map((choice, at) => apply(choice, changes[at])) };
    return { before, data: JSON.stringify(changed), value: changed };
  }

  whole(body: Buffer): Uint8Array {
    return parsedAnswer(body, this.#options);
  }

  #take(choice: unknown): ChoiceChange {
    if (!isJsonObject(choice)) return UNCHANGED;
    const index = indexOf(choice);
    let parsed = this.#choices.get(index);
    if (!parsed) this.#choices.set(index, (parsed = new ParsedChoice(this.#options)));
    return parsed.take(choice);
  }

  /** Before the end marker, releases the text that is held for answers without a finish reason. */
  #ends(data: string): ChangedEvent {
    const before = [...this.#choices].flatMap(([index, choice]) => this.#written(index, choice.end()));
    return { before, data, value: undefined };
  }

  /** Writes an event for each delta. */
  #written(index: number, deltas: readonly JsonObject[]): readonly string[] {
    if (deltas.length === 0) return NOTHING;
    const head = headOf(this.#last);
    return deltas.map((delta) =>
      JSON.stringify({ ...head, choices: [{ index, delta, logprobs: null, finish_reason: null }] }),
    );
  }
}

function indexOf(choice: unknown): number {
  return isJsonObject(choice) ? (numberField(choice, "index") ?? 0) : 0;
}

function headOf(event: JsonObject): JsonObject {
  const there = HEAD.filter((name) => event[name] !== undefined).map((name) => [name, event[name]]);
  return { ...Object.fromEntries(there), ...("usage" in event ? { usage: null } : {}) };
}

function apply(choice: unknown, { delta, finishReason }: ChoiceChange = UNCHANGED): unknown {
  if (!isJsonObject(choice)) return choice;
  return {
    ...choice,
    ...(delta ? { delta } : {}),
    ...(finishReason === undefined ? {} : { finish_reason: finishReason }),
  };
}
