import {
  ASIDE,
  DATA,
  END,
  engineFailure,
  type EventMeaning,
  isEndMarker,
  parseEvent,
  type StreamReader,
  UsageKeeper,
} from "../stream-reader.ts";

/** Messages: the prompt is counted in the first event, the answer in the last but one, `message_stop` ends it. */
export class MessagesReader implements StreamReader {
  readonly #usage = new UsageKeeper();

  onEvent(name: string | undefined, data: string): EventMeaning {
    // vLLM ends these streams as its others, after message_stop.
    if (isEndMarker(data)) return END;
    const event = parseEvent(data);
    const type = event["type"] ?? name;
    if (type === "message_stop") return END;
    if (type === "message_start" || type === "message_delta") this.#usage.read(event);
    const failure = type === "error" || name === "error" ? engineFailure(event, "error") : undefined;
    if (failure) return { kind: "failure", failure };
    return type === "ping" ? ASIDE : DATA;
  }

  /** Its last event is also what says that it is whole. */
  hasFinished(): boolean {
    return false;
  }

  get usage(): UsageKeeper["usage"] {
    return this.#usage.usage;
  }
}
