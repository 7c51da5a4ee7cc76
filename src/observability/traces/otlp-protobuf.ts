import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { KINDS, nanos, STATUS_ERROR } from "./otlp-numbers.ts";
import type { Attributes, AttributeValue, Span, SpanEvent } from "./span.ts";

/**
 * Spans as an `ExportTraceServiceRequest`: the body of an OTLP export over HTTP with protobuf, and its message over gRPC. Numbers of fields
 * are those of opentelemetry-proto (`collector/trace/v1`, `trace/v1/trace.proto`, `common/v1/common.proto`).
 */
export function exportMessage(spans: readonly Span[], resource: Attributes, version: string): Uint8Array<ArrayBuffer> {
  return message((request) =>
    member(request, 1, (resourceSpans) => {
      member(resourceSpans, 1, (one) => writeAttributes(one, 1, resource));
      member(resourceSpans, 2, (scopeSpans) => {
        member(scopeSpans, 1, (scope) => scope.tag(1, TEXT).string("pointsman").tag(2, TEXT).string(version));
        for (const span of spans) member(scopeSpans, 2, (one) => writeSpan(one, span));
      });
    }),
  );
}

const { Varint: VARINT, Bit64: BITS64, LengthDelimited: TEXT, Bit32: BITS32 } = WireType;

function writeSpan(to: BinaryWriter, span: Span): void {
  to.tag(1, TEXT).bytes(Uint8Array.fromHex(span.traceId));
  to.tag(2, TEXT).bytes(Uint8Array.fromHex(span.spanId));
  if (span.tracestate !== undefined) to.tag(3, TEXT).string(span.tracestate);
  if (span.parentSpanId !== undefined) to.tag(4, TEXT).bytes(Uint8Array.fromHex(span.parentSpanId));
  to.tag(5, TEXT).string(span.name);
  to.tag(6, VARINT).int32(KINDS[span.kind]);
  to.tag(7, BITS64).fixed64(nanos(span.startedAt));
  to.tag(8, BITS64).fixed64(nanos(span.endedAt));
  writeAttributes(to, 9, span.attributes);
  for (const event of span.events) member(to, 11, (one) => writeEvent(one, event));
  const { error } = span;
  if (error !== undefined) {
    member(to, 15, (status) => status.tag(2, TEXT).string(error).tag(3, VARINT).int32(STATUS_ERROR));
  }
  // The context is sampled.
  to.tag(16, BITS32).fixed32(1);
}

function writeEvent(to: BinaryWriter, { at, name, attributes }: SpanEvent): void {
  to.tag(1, BITS64).fixed64(nanos(at)).tag(2, TEXT).string(name);
  writeAttributes(to, 3, attributes);
}

/** Each attribute is a message with its key and its value. */
function writeAttributes(to: BinaryWriter, field: number, attributes: Attributes): void {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined) continue;
    member(to, field, (pair) => {
      pair.tag(1, TEXT).string(key);
      member(pair, 2, (one) => writeValue(one, value));
    });
  }
}

function writeValue(to: BinaryWriter, value: AttributeValue): void {
  if (typeof value === "string") to.tag(1, TEXT).string(value);
  else if (typeof value === "boolean") to.tag(2, VARINT).bool(value);
  else if (typeof value === "number") {
    if (Number.isSafeInteger(value)) to.tag(3, VARINT).int64(value);
    else to.tag(4, BITS64).double(value);
  } else if ("measured" in value) to.tag(4, BITS64).double(value.measured);
  else {
    member(to, 5, (list) => {
      for (const text of value) member(list, 1, (one) => one.tag(1, TEXT).string(text));
    });
  }
}

function message(write: (to: BinaryWriter) => void): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

/** A message within a message. */
function member(to: BinaryWriter, field: number, write: (to: BinaryWriter) => void): void {
  to.tag(field, TEXT).fork();
  write(to);
  to.join();
}
