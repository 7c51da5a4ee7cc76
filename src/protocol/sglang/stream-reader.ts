import { objectField } from "../json.ts";
import {
  DATA,
  END,
  engineFailure,
  type EventMeaning,
  parseEvent,
  type StreamReader,
  UsageKeeper,
} from "../stream-reader.ts";

/** SGLang's `/generate`: counts and the reason to stop are in `meta_info` of each event; `[DONE]` ends it. */
export class GenerateReader implements StreamReader {
  readonly #usage = new UsageKeeper();
  #isFinished = false;

  onEvent(_name: string | undefined, data: string): EventMeaning {
    if (data === "[DONE]") return END;
    const event = parseEvent(data);
    this.#usage.read(event);
    const reason = objectField(event, "meta_info")?.["finish_reason"];
    // A batch tells each of its prompts in events of its own, and how many there are is not told.
    this.#isFinished = reason !== undefined && reason !== null;
    const failure = engineFailure(event);
    return failure ? { kind: "failure", failure } : DATA;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  get usage(): UsageKeeper["usage"] {
    return this.#usage.usage;
  }
}
