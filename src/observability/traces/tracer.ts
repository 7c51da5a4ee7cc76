import { type RequestTime, RequestTrace, type TracedEnd, type TracedRequest } from "./request-trace.ts";
import type { RecordSink } from "../request-record.ts";
import type { SpanExporter } from "./span-exporter.ts";
import { idInShare, isInShare, readTraceparent } from "./trace-context.ts";

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

  /** The trace of a request; undefined where it is not sampled. */
  begin(
    request: TracedRequest,
    headers: { get(name: string): string | null },
    time: RequestTime,
  ): RequestTrace | undefined {
    const { ratio, isParentBased, wallNow } = this.#parts;
    const parent = readTraceparent(headers.get("traceparent"));
    const traceId = parent ? parent.traceId : idInShare(ratio);
    if (traceId === undefined) return undefined;
    if (parent && !(isParentBased ? parent.isSampled : isInShare(traceId, ratio))) return undefined;
    const state = parent ? headers.get("tracestate") : null;
    return new RequestTrace({
      request,
      parent,
      traceId,
      tracestate: state === null || state.length > MAX_STATE ? undefined : state,
      startedAt: wallNow() - time.elapsedMs,
      time,
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
