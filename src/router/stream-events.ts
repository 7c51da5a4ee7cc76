import { GatewayError } from "../errors/errors.ts";
import { failureOfAnswer } from "../protocol/engine-failure.ts";
import { type JsonObject, jsonObjectOf } from "../protocol/json/json.ts";
import type { StreamReader } from "../protocol/stream-reader.ts";
import { type Instead, SseFramer, type Verdict } from "../transport/sse-framer.ts";
import { type AnswerChange, changeEvent, type ReadEvent } from "./answer-change.ts";
import type { StreamAccount } from "./response-stage.ts";
import type { StreamContinuation } from "./stream-continuation.ts";
import { engineError } from "./worker-error.ts";

const NO_CHANGES: readonly AnswerChange[] = [];

export interface StreamEventsParts {
  /** Reads the events. One reader serves the whole answer, even if several workers write parts of it. */
  readonly reader: StreamReader;
  /** Names of the API's own events. */
  readonly eventNames: RegExp;
  /** Address of the worker, which must not be in an error for the client. */
  readonly origin: string;
  readonly changes: readonly AnswerChange[] | undefined;
  readonly continuation: StreamContinuation | undefined;
}

/**
 * Why a stream ended before its answer was whole: some servers write an error into it as JSON that is no event. `events` is
 * undefined where the stream was written here.
 */
export function whyCut(events: StreamEvents | undefined): GatewayError {
  const told = events?.errorOutside();
  return told ?? new GatewayError("upstream_truncated", "the worker's stream ended before the answer was whole");
}

/** Cuts one worker's stream into events, and changes, reads and counts each. Nothing else cuts a client's stream into events. */
export class StreamEvents implements StreamAccount {
  readonly #parts: StreamEventsParts;
  /** The relay asks it directly whether bytes pass: a stream's memory is cold when its next event comes, so few objects are touched. */
  readonly framer: SseFramer;
  readonly #readEvent: ReadEvent = (name, data, value) => this.#read(name, data, value);
  readonly #onWritten: ((data: string) => void) | undefined;
  #failure: GatewayError | undefined;

  constructor(parts: StreamEventsParts) {
    const { changes = NO_CHANGES, continuation, reader } = parts;
    this.#parts = parts;
    this.#onWritten = continuation && ((data) => continuation.onEvent(data));
    // A continuation needs all text of the stream.
    const isTextRead = continuation !== undefined || changes.some(({ readsText }) => readsText);
    this.framer = new SseFramer(
      changes.length > 0
        ? (name, data, text) => this.#change(name, data, text)
        : (name, data) => this.#read(name, data),
      isTextRead ? undefined : reader.known,
    );
  }

  /** The engine's error within the stream, or an unreadable event. After it nothing passes. */
  get failure(): GatewayError | undefined {
    return this.#failure;
  }

  /** The engine's error that stands in the stream as JSON, and is no event. */
  errorOutside(): GatewayError | undefined {
    const failure = failureOfAnswer(jsonObjectOf(new TextDecoder().decode(this.framer.waiting)));
    return failure && engineError("upstream_stream_error", failure, this.#parts.origin);
  }

  get events(): number {
    return this.framer.events;
  }

  get isEnded(): boolean {
    return this.framer.isEnded;
  }

  /** Bytes that came with the last event, behind it. */
  get rest(): Uint8Array {
    return this.framer.rest;
  }

  get usage(): StreamAccount["usage"] {
    return this.#parts.continuation?.usage ?? this.#parts.reader.usage;
  }

  /** Takes the next bytes of the stream, and returns what passes now: whole events. Throws upstream_event_too_large. */
  push(chunk: Uint8Array): Uint8Array {
    const events = this.framer.push(chunk);
    const { continuation } = this.#parts;
    return continuation?.isContinuing === true ? continuation.takeRewritten() : events;
  }

  /** Nothing passes any more. */
  end(): void {
    this.framer.end();
  }

  #change(name: string | undefined, data: string, text: string): Verdict | Instead {
    return changeEvent(this.#parts.changes ?? NO_CHANGES, { name, data, text }, this.#readEvent, this.#onWritten);
  }

  #read(name: string | undefined, data: string, value?: JsonObject): Verdict {
    const { reader, continuation, origin } = this.#parts;
    try {
      const meaning = reader.onEvent(name, data, value);
      if (meaning.kind === "failure") {
        this.#failure = engineError("upstream_stream_error", meaning.failure, origin);
        return "stop";
      }
      if (meaning.kind === "aside") return "aside";
      if (meaning.kind === "nothing") return "drop";
      continuation?.onEvent(data);
      return meaning.kind === "end" ? "last" : "pass";
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      if (this.#isForeign(name, data)) return "drop";
      this.#failure = new GatewayError("upstream_event_invalid", "an event of the worker's stream is not JSON", {
        cause: error,
      });
      return "stop";
    }
  }

  /** Whether an event is foreign to the API, such as a ping in words, which clients would parse as JSON. */
  #isForeign(name: string | undefined, data: string): boolean {
    return name !== undefined && !data.startsWith("{") && !this.#parts.eventNames.test(name);
  }
}
