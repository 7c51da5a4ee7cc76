import { KINDS, nanos, STATUS_ERROR } from "./otlp-numbers.ts";
import type { Attributes, AttributeValue, Span } from "./span.ts";

/** Spans as the body of an OTLP export over HTTP (OTLP 1.x, JSON: ids in hexadecimal digits, 64-bit numbers as texts). */
export function exportBody(spans: readonly Span[], resource: Attributes, version: string): string {
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource) },
        scopeSpans: [{ scope: { name: "pointsman", version }, spans: spans.map(spanOf) }],
      },
    ],
  });
}

function spanOf(span: Span): object {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.tracestate === undefined ? {} : { traceState: span.tracestate }),
    ...(span.parentSpanId === undefined ? {} : { parentSpanId: span.parentSpanId }),
    // The context is sampled.
    flags: 1,
    name: span.name,
    kind: KINDS[span.kind],
    startTimeUnixNano: nanos(span.startedAt),
    endTimeUnixNano: nanos(span.endedAt),
    attributes: attributesOf(span.attributes),
    events: span.events.map(({ name, at, attributes }) => ({
      name,
      timeUnixNano: nanos(at),
      attributes: attributesOf(attributes),
    })),
    status: span.error === undefined ? {} : { code: STATUS_ERROR, message: span.error },
  };
}

function attributesOf(attributes: Attributes): object[] {
  return Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: valueOf(value) }],
  );
}

function valueOf(value: AttributeValue): object {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number")
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  if ("measured" in value) return { doubleValue: value.measured };
  return { arrayValue: { values: value.map((text) => ({ stringValue: text })) } };
}
