import { expect, test } from "bun:test";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { exportBody } from "./otlp-json.ts";
import { exportMessage } from "./otlp-protobuf.ts";
import { type Attributes, measured, type Span } from "./span.ts";

/** A field of a message: its name in the JSON form, and how its value is read from the wire. */
type Field = readonly [name: string, read: (reader: BinaryReader) => unknown, isList?: boolean];
type Shape = Readonly<Record<number, Field>>;

const text = (reader: BinaryReader): string => reader.string();
const hex = (reader: BinaryReader): string => reader.bytes().toHex();
const number = (reader: BinaryReader): number => reader.int32();
const time = (reader: BinaryReader): string => String(reader.fixed64());

function message(shape: Shape): (reader: BinaryReader) => object {
  return (reader) => {
    const length = reader.uint32();
    return read(shape, reader, reader.pos + length);
  };
}

function read(shape: Shape, reader: BinaryReader, end: number): object {
  const found: Record<string, unknown> = {};
  for (const [name, , isList] of Object.values(shape)) if (isList) found[name] = [];
  while (reader.pos < end) {
    const [number_] = reader.tag();
    const field = shape[number_];
    if (!field) throw new Error(`no field ${number_}`);
    const [name, of, isList] = field;
    const value = of(reader);
    if (isList) (found[name] as unknown[]).push(value);
    else found[name] = value;
  }
  return found;
}

const VALUE: Shape = {
  1: ["stringValue", text],
  2: ["boolValue", (reader) => reader.bool()],
  3: ["intValue", (reader) => String(reader.int64())],
  4: ["doubleValue", (reader) => reader.double()],
  5: ["arrayValue", message({ 1: ["values", message({ 1: ["stringValue", text] }), true] })],
};
const PAIR = message({ 1: ["key", text], 2: ["value", message(VALUE)] });
const EVENT: Shape = { 1: ["timeUnixNano", time], 2: ["name", text], 3: ["attributes", PAIR, true] };
const SPAN: Shape = {
  1: ["traceId", hex],
  2: ["spanId", hex],
  3: ["traceState", text],
  4: ["parentSpanId", hex],
  5: ["name", text],
  6: ["kind", number],
  7: ["startTimeUnixNano", time],
  8: ["endTimeUnixNano", time],
  9: ["attributes", PAIR, true],
  11: ["events", message(EVENT), true],
  15: ["status", message({ 2: ["message", text], 3: ["code", number] })],
  16: ["flags", (reader) => reader.fixed32()],
};
const SCOPE = message({ 1: ["name", text], 2: ["version", text] });
const REQUEST: Shape = {
  1: [
    "resourceSpans",
    message({
      1: ["resource", message({ 1: ["attributes", PAIR, true] })],
      2: ["scopeSpans", message({ 1: ["scope", SCOPE], 2: ["spans", message(SPAN), true] }), true],
    }),
    true,
  ],
};

const attributes: fc.Arbitrary<Attributes> = fc.dictionary(
  fc.string(),
  fc.oneof(
    fc.string(),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.nat().map(measured),
    fc.array(fc.string()),
  ),
);
const id = (digits: number): fc.Arbitrary<string> =>
  fc
    .array(fc.integer({ min: 0, max: 15 }), { minLength: digits, maxLength: digits })
    .map((all) => all.map((digit) => digit.toString(16)).join(""));
const moment = fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }).map((ms) => ms + 0.25);
const span: fc.Arbitrary<Span> = fc.record({
  traceId: id(32),
  spanId: id(16),
  parentSpanId: fc.option(id(16), { nil: undefined }),
  tracestate: fc.option(fc.string(), { nil: undefined }),
  name: fc.string(),
  kind: fc.constantFrom("server", "client"),
  startedAt: moment,
  endedAt: moment,
  attributes,
  events: fc.array(fc.record({ name: fc.string(), at: moment, attributes })),
  error: fc.option(fc.string(), { nil: undefined }),
});

test("the message says what the JSON form says, by the numbers of the published .proto files", () => {
  fc.assert(
    fc.property(fc.array(span), attributes, (spans, resource) => {
      const bytes = exportMessage(spans, resource, "1.2.3");
      const told = read(REQUEST, new BinaryReader(bytes), bytes.length);
      const json = JSON.parse(exportBody(spans, resource, "1.2.3")) as object;
      // Without an error the message has no status, and JSON an empty one.
      const plain = JSON.parse(JSON.stringify(json).replaceAll(',"status":{}', "")) as object;
      expect(told).toEqual(plain);
    }),
  );
});
