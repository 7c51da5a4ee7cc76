import { randomId, type TraceContext, writeTraceparent } from "./trace-context.ts";
import { type Attributes, measured, type Span, type SpanEvent } from "./span.ts";

/** What a request is, for the names of its spans. */
export interface TracedRequest {
  readonly path: string;
  /** OpenTelemetry's name for what is asked (`gen_ai.operation.name`). */
  readonly operation: string;
}

/** Why a worker is asked. */
export interface TracedChoice {
  /** The worker's name. */
  readonly url: string;
  /** Where the request goes: scheme, host and port. */
  readonly address: string;
  readonly role: string;
  readonly policy: string;
  readonly reason: string;
  /** How many workers it was chosen from. */
  readonly candidates: number;
  /** The cheapest candidates with their costs, where the choice is explained. */
  readonly considered: readonly string[] | undefined;
  readonly predictedTtftMs: number | undefined;
  readonly predictedCachedTokens: number | undefined;
}

/** How a request ended. RequestRecord fits it by shape. */
export interface TracedEnd {
  readonly requestId: string;
  readonly key: string | undefined;
  readonly model: string | undefined;
  readonly route: string | undefined;
  readonly policy: string | undefined;
  readonly attempts: number;
  readonly isStream: boolean;
  readonly ttftMs: number | undefined;
  readonly tokens:
    | {
        readonly promptTokens: number | undefined;
        readonly completionTokens: number | undefined;
        readonly cachedTokens: number | undefined;
      }
    | undefined;
  readonly errorCode: string | undefined;
  readonly status: number;
  readonly durationMs: number;
}

/** The clock of a request. RequestRecord fits it by shape. */
export interface RequestTime {
  /** Time since the request began, ms. */
  readonly elapsedMs: number;
}

/** Of every inference route. */
const METHOD = "POST";

interface AttemptSpan {
  readonly choice: TracedChoice;
  readonly spanId: string;
  readonly startedMs: number;
  firstTokenMs: number | undefined;
  endedMs: number | undefined;
  error: string | undefined;
}

/**
 * The spans of one sampled request: what the client asked, and each attempt at a worker. Times are taken on the clock of the
 * request's record, ms since the request began; nothing of the prompt or the answer is kept.
 */
export class RequestTrace {
  readonly #request: TracedRequest;
  readonly #parent: TraceContext | undefined;
  readonly #traceId: string;
  readonly #spanId = randomId(8);
  readonly #tracestate: string | undefined;
  readonly #startedAt: number;
  readonly #time: RequestTime;
  readonly #attempts: AttemptSpan[] = [];

  /** `startedAt`: wall-clock time, ms. */
  constructor(parts: {
    readonly request: TracedRequest;
    readonly parent: TraceContext | undefined;
    readonly traceId: string;
    readonly tracestate: string | undefined;
    readonly startedAt: number;
    readonly time: RequestTime;
  }) {
    this.#request = parts.request;
    this.#parent = parts.parent;
    this.#traceId = parts.traceId;
    this.#tracestate = parts.tracestate;
    this.#startedAt = parts.startedAt;
    this.#time = parts.time;
  }

  /** An attempt at a worker begins. Returns its number. */
  begin(choice: TracedChoice): number {
    const span = {
      choice,
      spanId: randomId(8),
      startedMs: this.#time.elapsedMs,
      firstTokenMs: undefined,
      endedMs: undefined,
    };
    return this.#attempts.push({ ...span, error: undefined }) - 1;
  }

  firstToken(attempt: number): void {
    const span = this.#attempts[attempt];
    if (span) span.firstTokenMs ??= this.#time.elapsedMs;
  }

  end(attempt: number, error: string | undefined): void {
    const span = this.#attempts[attempt];
    if (!span || span.endedMs !== undefined) return;
    span.endedMs = this.#time.elapsedMs;
    span.error = error;
  }

  /** Header lines for the worker, which tell it to put its spans below the newest attempt at it. */
  headers(url: string): Readonly<Record<string, string>> {
    const span = this.#attempts.findLast(({ choice }) => choice.url === url);
    return {
      traceparent: writeTraceparent(this.#traceId, span?.spanId ?? this.#spanId),
      ...(this.#tracestate === undefined ? {} : { tracestate: this.#tracestate }),
    };
  }

  /** The spans, when the request is over. */
  spans(record: TracedEnd): Span[] {
    return [this.#serverSpan(record), ...this.#attempts.map((span, at) => this.#attemptSpan(span, at, record))];
  }

  #serverSpan(record: TracedEnd): Span {
    const { path } = this.#request;
    const { ttftMs } = record;
    const choices = this.#attempts.map(({ choice, startedMs }) =>
      this.#event("pointsman.route", startedMs, routeOf(choice)),
    );
    return {
      ...this.#common(this.#spanId),
      parentSpanId: this.#parent?.spanId,
      name: `${METHOD} ${path}`,
      kind: "server",
      startedAt: this.#startedAt,
      endedAt: this.#startedAt + record.durationMs,
      attributes: {
        "http.request.method": METHOD,
        "http.route": path,
        "http.response.status_code": record.status,
        "error.type": record.errorCode,
        ...this.#genAi(record),
        "pointsman.request_id": record.requestId,
        "pointsman.key": record.key,
        "pointsman.route": record.route,
        "pointsman.policy": record.policy,
        "pointsman.attempts": record.attempts,
        "pointsman.stream": record.isStream,
        "pointsman.ttft_ms": measured(ttftMs),
      },
      events: [...choices, ...(ttftMs === undefined ? [] : [this.#event("pointsman.first_token", ttftMs, {})])],
      // A client's own mistake is no error of the server (HTTP semantic conventions).
      error: record.status >= 500 ? record.errorCode : undefined,
    };
  }

  #attemptSpan(span: AttemptSpan, at: number, record: TracedEnd): Span {
    const { choice, startedMs, firstTokenMs } = span;
    const { hostname, port } = new URL(choice.address);
    const endedMs = span.endedMs ?? record.durationMs;
    return {
      ...this.#common(span.spanId),
      parentSpanId: this.#spanId,
      name: record.model === undefined ? this.#request.operation : `${this.#request.operation} ${record.model}`,
      kind: "client",
      startedAt: this.#startedAt + startedMs,
      endedAt: this.#startedAt + endedMs,
      attributes: {
        // An IPv6 address has brackets in a URL alone.
        "server.address": hostname.replace(/^\[|\]$/g, ""),
        "server.port": port === "" ? undefined : Number(port),
        "error.type": span.error,
        // Only the attempt that was answered has the tokens of the answer.
        ...this.#genAi(span.error === undefined ? record : { ...record, tokens: undefined }),
        "pointsman.attempt": at + 1,
        "pointsman.role": choice.role,
        "gen_ai.server.time_to_first_token": measured(
          firstTokenMs === undefined ? undefined : (firstTokenMs - startedMs) / 1000,
        ),
      },
      events: firstTokenMs === undefined ? [] : [this.#event("pointsman.first_token", firstTokenMs, {})],
      error: span.error,
    };
  }

  #common(spanId: string): Pick<Span, "traceId" | "spanId" | "tracestate"> {
    return { traceId: this.#traceId, spanId, tracestate: this.#tracestate };
  }

  /** Attributes of the semantic conventions for generative AI. */
  #genAi({ model, tokens }: TracedEnd): Attributes {
    return {
      "gen_ai.operation.name": this.#request.operation,
      "gen_ai.request.model": model,
      "gen_ai.usage.input_tokens": tokens?.promptTokens,
      "gen_ai.usage.output_tokens": tokens?.completionTokens,
      "gen_ai.usage.cache_read.input_tokens": tokens?.cachedTokens,
    };
  }

  #event(name: string, ms: number, attributes: Attributes): SpanEvent {
    return { name, at: this.#startedAt + ms, attributes };
  }
}

function routeOf(choice: TracedChoice): Attributes {
  return {
    "pointsman.worker": choice.url,
    "pointsman.role": choice.role,
    "pointsman.policy": choice.policy,
    "pointsman.reason": choice.reason,
    "pointsman.candidates": choice.candidates,
    "pointsman.considered": choice.considered,
    "pointsman.predicted_ttft_ms": measured(choice.predictedTtftMs),
    "pointsman.predicted_cached_tokens": choice.predictedCachedTokens,
  };
}
