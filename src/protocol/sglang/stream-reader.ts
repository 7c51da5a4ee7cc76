import { numberField, objectField } from "../json/json.ts";
import {
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

/** Reads streams of SGLang's `/generate`: each event has counts and the finish reason in `meta_info`; `[DONE]` ends the stream. */
export class GenerateReader implements StreamReader {
  readonly #usage = new UsageKeeper();
  readonly #answers = new FinishedAnswers();

  onEvent(name: string | undefined, data: string): EventMeaning {
    if (isEndMarker(data)) return END;
    const event = parseEvent(data);
    this.#usage.read(event);
    // Each answer of a batch has its own events.
    this.#answers.read(numberField(event, "index") ?? 0, objectField(event, "meta_info")?.["finish_reason"]);
    const failure = engineFailure(event, name);
    return failure ? { kind: "failure", failure } : DATA;
  }

  hasFinished(answers: number): boolean {
    return this.#answers.areAll(answers);
  }

  get usage(): UsageKeeper["usage"] {
    return this.#usage.usage;
  }
}
