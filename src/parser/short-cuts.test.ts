import { expect, test } from "bun:test";
import fc from "fast-check";
import type { OutputPiece } from "../protocol/generation.ts";
import type { CallFormat } from "./call-format.ts";
import { bareJson } from "./formats/bare-json.ts";
import { pythonic } from "./formats/pythonic.ts";
import { createMarkerPlan } from "./marker-plan.ts";
import { PieceWriter } from "./piece-writer.ts";
import { TextFlow } from "./text-flow.ts";
import { TextInput } from "./text-input.ts";
import { ToolTable } from "./tool-table.ts";

/** The pieces of a text that arrives in chunks of a size, neighbours joined. */
function piecesOf(format: CallFormat, text: string, chunk: number): OutputPiece[] {
  const input = new TextInput();
  const writer = new PieceWriter({ callId: (name) => name, trimsBeforeCalls: false });
  const plan = createMarkerPlan(undefined, format, []);
  const flow = new TextFlow(input, writer, new ToolTable([{ name: "f", parameters: {} }]), plan).run();
  for (let at = 0; at < text.length; at += chunk) {
    input.feed(text.slice(at, at + chunk));
    flow.next();
  }
  input.end();
  flow.next();
  writer.end();
  return writer.drain();
}

const parts = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("{", "[", "}", "]", '"', ",", ":", " ", "\n", "(", ")", "=", "a", "1") },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '{"name":"f","arguments":{}}',
      '{"name":"f",',
      '"arguments":',
      "[f(a=1)]",
      "f(",
      '{"a":1}',
    ),
  },
);
const texts = fc.array(parts, { maxLength: 24 }).map((all) => all.join(""));

test.each([
  ["JSON", bareJson],
  ["Python", pythonic],
] as const)("openers of %s that are seen to begin no call give what reading on gives", (_, format) => {
  const { plainTo: _shortCut, ...whole } = format;
  fc.assert(
    fc.property(texts, fc.constantFrom(1, 3, 1000), (text, chunk) => {
      expect(piecesOf(format, text, chunk)).toEqual(piecesOf(whole, text, chunk));
    }),
    { numRuns: 2000 },
  );
});
