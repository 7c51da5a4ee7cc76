import { RequestTrace, type TracedEnd, type TracedRequest } from "./request-trace.ts";
import type { RecordSink } from "../request-record.ts";
import type { SpanExporter } from "./span-exporter.ts";
import { isInShare, randomId, readTraceparent } from "./trace-context.ts";

export interface TracerParts {
  /** Share of the traces that begin here which are sampled, 0 to 1. */
  readonly ratio: number;
  /** Whether the decision of a caller that sent its context holds. */
  readonly isParentBased: boolean;
  readonly exporter: Pick<SpanExporter, "add">;
  readonly wallNow: () => number;
}

/** Longest `tracestate` that is passed on, characters (W3C Trace Context asks for 512 at least). */
const MAX_STATE = 1024;

/** Decides which requests are traced, and sends their spans on. */
export class Tracer {
  readonly #parts: TracerParts;

  constructor(parts: TracerParts) {
    this.#parts = parts;
  }

  /** The trace of a request; undefined where it is not sampled. `now`: ms since the request began. */
  begin(
    request: TracedRequest,
    headers: { get(name: string): string | null },
    now: () => number,
  ): RequestTrace | undefined {
    const { ratio, isParentBased, wallNow } = this.#parts;
    const parent = readTraceparent(headers.get("traceparent"));
    const traceId = parent?.traceId ?? randomId(16);
    if (!(parent && isParentBased ? parent.isSampled : isInShare(traceId, ratio))) return undefined;
    const state = parent ? headers.get("tracestate") : null;
    return new RequestTrace({
      request,
      parent,
      traceId,
      tracestate: state === null || state.length > MAX_STATE ? undefined : state,
      startedAt: wallNow() - now(),
      now,
    });
  }

  /** A request is over. */
  end(trace: RequestTrace, record: TracedEnd): void {
    this.#parts.exporter.add(trace.spans(record));
  }
}

/** A sink that also sends the spans of each traced request on when it is over. */
export function traced(sink: RecordSink, tracer: Tracer | undefined): RecordSink {
  if (!tracer) return sink;
  return {
    settle(record) {
      sink.settle(record);
      if (record.trace) tracer.end(record.trace, record);
    },
  };
}
