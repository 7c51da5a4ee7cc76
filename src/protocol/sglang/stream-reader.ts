import type { JsonBody } from "../json/json-body.ts";
import { numberField, objectField } from "../json/json.ts";
import {
  DATA,
  END,
  type EventMeaning,
  FinishedAnswers,
  isEndMarker,
  parseEvent,
  type StreamReader,
} from "../stream-reader.ts";
import { engineFailure } from "../engine-failure.ts";
import { readUsage, type Usage } from "../usage.ts";
import { usageOfSamples } from "./usage-of-answers.ts";

/** Reads streams of SGLang's `/generate`: each event has counts and the finish reason in `meta_info`; `[DONE]` ends the stream. */
export class GenerateReader implements StreamReader {
  readonly #body: JsonBody;
  /** The last usage of each answer, by its index. */
  readonly #usages = new Map<number, Usage>();
  readonly #answers = new FinishedAnswers();

  constructor(body: JsonBody) {
    this.#body = body;
  }

  onEvent(name: string | undefined, data: string): EventMeaning {
    if (isEndMarker(data)) return END;
    const event = parseEvent(data);
    // Each answer of a batch has its own events.
    const index = numberField(event, "index") ?? 0;
    const usage = readUsage(event);
    if (usage) this.#usages.set(index, usage);
    this.#answers.read(index, objectField(event, "meta_info")?.["finish_reason"]);
    const failure = engineFailure(event, name);
    return failure ? { kind: "failure", failure } : DATA;
  }

  hasFinished(answers: number): boolean {
    return this.#answers.areAll(answers);
  }

  get usage(): Usage | undefined {
    return usageOfSamples(this.#usages, this.#body);
  }
}
