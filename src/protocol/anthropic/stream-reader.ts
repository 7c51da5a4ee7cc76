import {
  ASIDE,
  DATA,
  END,
  type EventMeaning,
  isEndMarker,
  NOTHING,
  parseEvent,
  type StreamReader,
  UsageKeeper,
} from "../stream-reader.ts";
import { engineFailure } from "../engine-failure.ts";
import { isFinishReason } from "../finish-reason.ts";
import { objectField } from "../json/json.ts";

/** Reads streams of `/v1/messages`: the first event counts the prompt, the last but one counts the answer, `message_stop` ends the stream. */
export class MessagesReader implements StreamReader {
  announced = 0;
  readonly #usage = new UsageKeeper();
  /** The last event but one has said why the answer stopped. */
  #hasStopped = false;

  onEvent(name: string | undefined, data: string): EventMeaning {
    // vLLM sends `[DONE]` after message_stop, as in its other streams. It ends nothing here.
    if (isEndMarker(data)) return NOTHING;
    const event = parseEvent(data);
    const type = event["type"] ?? name;
    if (type === "message_stop") return END;
    if (type === "message_start" || type === "message_delta") this.#usage.read(event);
    const failure = type === "error" || name === "error" ? engineFailure(event, "error") : undefined;
    if (failure) return { kind: "failure", failure };
    // Some servers send the first event before they prefill the prompt.
    if (type === "message_start") this.announced += 1;
    if (type === "ping" || type === "message_start") return ASIDE;
    this.#hasStopped = type === "message_delta" && isFinishReason(objectField(event, "delta")?.["stop_reason"]);
    return DATA;
  }

  hasFinished(): boolean {
    return this.#hasStopped;
  }

  get usage(): UsageKeeper["usage"] {
    return this.#usage.usage;
  }
}
