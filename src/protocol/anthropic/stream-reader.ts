import {
  ASIDE,
  DATA,
  END,
  type EventMeaning,
  isEndMarker,
  parseEvent,
  type StreamReader,
  UsageKeeper,
} from "../stream-reader.ts";
import { engineFailure } from "../engine-failure.ts";

/** Reads streams of `/v1/messages`: the first event counts the prompt, the last but one counts the answer, `message_stop` ends the stream. */
export class MessagesReader implements StreamReader {
  announced = 0;
  readonly #usage = new UsageKeeper();

  onEvent(name: string | undefined, data: string): EventMeaning {
    // vLLM sends `[DONE]` after message_stop, as in its other streams.
    if (isEndMarker(data)) return END;
    const event = parseEvent(data);
    const type = event["type"] ?? name;
    if (type === "message_stop") return END;
    if (type === "message_start" || type === "message_delta") this.#usage.read(event);
    const failure = type === "error" || name === "error" ? engineFailure(event, "error") : undefined;
    if (failure) return { kind: "failure", failure };
    // Some servers send the first event before they prefill the prompt.
    if (type === "message_start") this.announced += 1;
    return type === "ping" || type === "message_start" ? ASIDE : DATA;
  }

  /** Always false: only the last event shows that the stream is complete. */
  hasFinished(): boolean {
    return false;
  }

  get usage(): UsageKeeper["usage"] {
    return this.#usage.usage;
  }
}
