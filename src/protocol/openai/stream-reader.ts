import type { ErrorFacts } from "../error-facts.ts";
import { EventTemplate } from "../event-template.ts";
import { isJsonObject, type JsonObject, numberField, objectField } from "../json/json.ts";
import {
  ASIDE,
  DATA,
  END,
  engineFailure,
  type EventMeaning,
  FinishedAnswers,
  isEndMarker,
  parseEvent,
  type StreamReader,
  UsageKeeper,
} from "../stream-reader.ts";

/** Chat and completions: each choice ends with its own `finish_reason`, the stream with `[DONE]`. */
export class ChoicesReader implements StreamReader {
  readonly #usage = new UsageKeeper();
  readonly #answers = new FinishedAnswers();
  readonly known = new EventTemplate();

  onEvent(name: string | undefined, data: string, value?: JsonObject): EventMeaning {
    if (isEndMarker(data)) return END;
    const event = value ?? parseEvent(data);
    const { choices, usage } = event;
    const isRunning = Array.isArray(choices) && this.#read(choices);
    if (usage !== undefined) this.#usage.read(event);
    const failure = engineFailure(event, name);
    if (failure) return { kind: "failure", failure };
    if (name !== undefined && choices === undefined) return ASIDE;
    // Only of a choice that runs on is the text all that there is to an event.
    if (isRunning && (usage === undefined || usage === null)) this.known.learn(data);
    else this.known.forget();
    return DATA;
  }

  hasFinished(answers: number): boolean {
    return this.#answers.areAll(answers);
  }

  get usage(): UsageKeeper["usage"] {
    return this.#usage.usage;
  }

  /** Whether there are choices and none of them has ended. */
  #read(choices: readonly unknown[]): boolean {
    let isRunning = choices.length > 0;
    for (const choice of choices) {
      if (!isJsonObject(choice)) return false;
      const runsOn = this.#answers.read(numberField(choice, "index") ?? 0, choice["finish_reason"]);
      isRunning &&= runsOn;
    }
    return isRunning;
  }
}

/** The Responses API: typed, numbered events, of which one of three is the last. */
export class ResponsesReader implements StreamReader {
  readonly #usage = new UsageKeeper();
  #response: JsonObject | undefined;
  #nextNumber = 0;

  onEvent(name: string | undefined, data: string): EventMeaning {
    // Open Responses asks for it after the last event, which has ended the stream already.
    if (isEndMarker(data)) return END;
    const event = parseEvent(data);
    const type = event["type"] ?? name;
    if (type === "response.created") this.#response = objectField(event, "response");
    if (typeof type === "string" && LAST_EVENTS.has(type)) {
      this.#usage.read(event);
      return END;
    }
    const failure = type === "error" || name === "error" ? engineFailure(event, "error") : undefined;
    if (failure) return { kind: "failure", failure };
    const number = numberField(event, "sequence_number");
    // Pings that engines and relays add have no number, and must not use one up.
    const isOwn = typeof type !== "string" || type.startsWith("response.");
    if (isOwn || number !== undefined) this.#nextNumber = (number ?? this.#nextNumber) + 1;
    return isOwn ? DATA : ASIDE;
  }

  get usage(): UsageKeeper["usage"] {
    return this.#usage.usage;
  }

  /** Its last event is also what says that it is whole. */
  hasFinished(): boolean {
    return false;
  }

  /** A response that has begun ends as failed; before that there is nothing but the error. */
  errorEvent({ code, message, param }: ErrorFacts): string {
    const number = { sequence_number: this.#nextNumber };
    if (!this.#response) return frame({ type: "error", code, message, param: param ?? null, ...number });
    const response = { ...this.#response, status: "failed", error: { code, message } };
    return `${frame({ type: "response.failed", ...number, response })}data: [DONE]\n\n`;
  }
}

function frame(event: { readonly type: string; readonly [key: string]: unknown }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

const LAST_EVENTS = new Set(["response.completed", "response.incomplete", "response.failed"]);
