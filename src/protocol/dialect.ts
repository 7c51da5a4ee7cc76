import type { ErrorFacts } from "./error-facts.ts";
import type { StreamReader } from "./stream-reader.ts";

/** What differs between the APIs that clients speak, as data: the shape of an error, and how a stream ends. */
export interface Dialect {
  readonly name: "openai" | "responses" | "anthropic" | "sglang";
  /** HTTP status for being at capacity. */
  readonly overloadedStatus: number;
  errorBody(facts: ErrorFacts): object;
  /** The event that tells of an error within a stream, framed. Nothing follows it. */
  errorEvent(facts: ErrorFacts): string;
  /** Names of events that are the API's own; one of another name may say what it likes, and is left out where it is no JSON. */
  readonly eventNames: RegExp;
  /** Follows a stream that a worker sends. */
  createStreamReader(): StreamReader;
  /** Sent where an answer was whole but the worker left the end marker out; undefined where that cannot be told. */
  readonly endEvent: string | undefined;
  /** Sent after the last event, where the API has more to say than that; undefined where it has not. */
  readonly closingEvent: string | undefined;
  /** Sent on silence, so that nothing on the way takes the connection for dead; where it is no whole event it is a whole line. */
  readonly keepAliveEvent: string;
  /** Response headers that carry the request id. */
  readonly requestIdHeaders: readonly string[];
}
