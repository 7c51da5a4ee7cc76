/** A measured value. It is written as one of floating point also where it is whole: stores of traces take one type for an attribute. */
export interface Measured {
  readonly measured: number;
}
/** A value of an attribute. Numbers are whole ones; lists are of texts. */
export type AttributeValue = string | number | boolean | Measured | readonly string[];
/** Attributes by their names; undefined ones are left out. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

export interface SpanEvent {
  readonly name: string;
  /** Wall-clock time, ms since the epoch. */
  readonly at: number;
  readonly attributes: Attributes;
}

/** A span that has ended. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly tracestate: string | undefined;
  readonly name: string;
  /** `server`: what a client asked the gateway; `client`: what the gateway asked a worker. */
  readonly kind: "server" | "client";
  /** Wall-clock times, ms since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  /** Code of the error that it ended with. */
  readonly error: string | undefined;
}

/** A measured value for an attribute; undefined where there is none. */
export function measured(value: number | undefined): Measured | undefined {
  return value === undefined ? undefined : { measured: value };
}
