import type { ErrorFacts } from "../error-facts.ts";
import { EventTemplate } from "../event-template.ts";
import { isJsonObject, type JsonObject, numberField, objectField } from "../json/json.ts";
import {
  ASIDE,
  DATA,
  END,
  type EventMeaning,
  FinishedAnswers,
  isEndMarker,
  NOTHING,
  parseEvent,
  type StreamReader,
  UsageKeeper,
} from "../stream-reader.ts";
import { engineFailure } from "../engine-failure.ts";

/** Reads streams of chat and completions: each choice ends with its own `finish_reason`, the stream with `[DONE]`. */
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
    // Only events of a choice that goes on differ in nothing but their text.
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

  /** Takes the choices of an event. Returns whether it has choices and none of them has ended. */
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

/** Reads streams of the Responses API: typed, numbered events, with three possible last ones. */
export class ResponsesReader implements StreamReader {
  announced = 0;
  readonly #usage = new UsageKeeper();
  #response: JsonObject | undefined;
  #nextNumber = 0;

  onEvent(name: string | undefined, data: string): EventMeaning {
    // Open Responses sends it after the last event, which has already ended the stream. Before that it ends nothing.
    if (isEndMarker(data)) return NOTHING;
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
    // Pings of engines and relays have no number, and must not count.
    const isOwn = typeof type !== "string" || type.startsWith("response.");
    if (isOwn || number !== undefined) this.#nextNumber = (number ?? this.#nextNumber) + 1;
    if (typeof type === "string" && ANNOUNCEMENTS.has(type)) {
      this.announced += 1;
      return ASIDE;
    }
    return isOwn ? DATA : ASIDE;
  }

  get usage(): UsageKeeper["usage"] {
    return this.#usage.usage;
  }

  /** Always false: only the last event shows that the stream is complete. */
  hasFinished(): boolean {
    return false;
  }

  /** A response that has begun ends with `response.failed`; before that the event is only the error. */
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

/** Events that engines send as soon as they have the request, before they prefill it: they show no first token. */
const ANNOUNCEMENTS = new Set(["response.created", "response.queued", "response.in_progress"]);
const LAST_EVENTS = new Set(["response.completed", "response.incomplete", "response.failed"]);
