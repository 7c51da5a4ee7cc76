/** What differs between the APIs that clients speak, as data: the shape of an error, and how a stream ends. */

export interface ErrorFacts {
  readonly code: string;
  readonly message: string;
  readonly param: string | undefined;
  readonly openaiType: string;
  readonly anthropicType: string;
  readonly requestId: string;
}

export interface Dialect {
  readonly name: "openai" | "responses" | "anthropic" | "sglang";
  errorBody(facts: ErrorFacts): object;
  /** The event that tells of an error within a stream, framed. Nothing follows it. */
  errorEvent(facts: ErrorFacts): string;
  /** How a whole stream ends: its last event contains one of these. */
  readonly endMarkers: readonly string[];
  /** Sent where an answer was whole but the worker left the end marker out; undefined where that cannot be told. */
  readonly missingEnd: { readonly afterEventWith: readonly string[]; readonly event: string } | undefined;
  /** The events that carry token counts contain this. */
  readonly usageMarker: string;
  /** Response headers that carry the request id. */
  readonly requestIdHeaders: readonly string[];
}
