import type { ErrorFacts } from "./error-facts.ts";
import type { JsonBody } from "./json/json-body.ts";
import type { LimitStates } from "./limit-headers.ts";
import type { StreamReader } from "./stream-reader.ts";
import type { Usage } from "./usage.ts";

/** How the APIs that clients speak differ, as data: the shape of an error, and the events around a stream. */
export interface Dialect {
  readonly name: "openai" | "responses" | "anthropic" | "sglang";
  /** HTTP status that tells a client that there is no capacity for its request. */
  readonly overloadedStatus: number;
  errorBody(facts: ErrorFacts): object;
  /** The framed event that ends a stream with an error. */
  errorEvent(facts: ErrorFacts): string;
  /** Matches the names of the API's own events. An event of another name is left out of the stream where it is not JSON. */
  readonly eventNames: RegExp;
  /** Makes a reader for one stream that answers this body. */
  createStreamReader(body: JsonBody): StreamReader;
  /** The usage in a whole answer to this body. */
  usageOf(answer: unknown, body: JsonBody): Usage | undefined;
  /** Event that the gateway adds to a whole answer whose worker left out the end marker; undefined where a whole answer cannot be told. */
  readonly endEvent: string | undefined;
  /** `[DONE]` ends the API's streams. Where an event of the API does, some engines write `[DONE]` behind it all the same. */
  readonly endsWithDone: boolean;
  /** Event that the gateway adds behind the last one, where the API asks for it; undefined where it does not. */
  readonly closingEvent: string | undefined;
  /** Bytes sent while a worker is silent, so that no proxy takes the connection for dead: a whole event, or a whole line of one. */
  readonly keepAliveEvent: string;
  /** The header lines that tell a caller what is left of its limits, each with its CRLF. */
  limitLines(states: LimitStates): string;
  /** Names of the response headers that carry the request id. */
  readonly requestIdHeaders: readonly string[];
}
