import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createOutputParser, type OutputParserOptions } from "../../src/parser/create-output-parser.ts";
import { FIXTURES } from "./fixtures/all.ts";
import { type Fixture, TOOLS } from "./fixtures/fixture.ts";
import { joinPieces, type WholeOutput } from "../../src/parser/parse-whole.ts";

/** Longest a test may take that tries thousands of cuts. */
const HEAVY_MS = 60_000;

/** Ids that count, so that two runs can be compared. */
function optionsOf(fixture: Fixture): OutputParserOptions {
  let ids = 0;
  return { tools: TOOLS, newCallId: () => `id-${(ids += 1)}`, ...fixture.options };
}

function parseChunks(fixture: Fixture, chunks: readonly string[]): WholeOutput {
  const parser = createOutputParser({ ...optionsOf(fixture), newCallId: undefined });
  const { toolCalls, ...rest } = joinPieces([...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()]);
  return { ...rest, toolCalls: toolCalls.map((call) => ({ ...call, id: "" })) };
}

function cut(text: string, at: readonly number[]): string[] {
  const bounds = [0, ...at, text.length];
  return bounds.slice(1).map((end, index) => text.slice(bounds[index], end));
}

for (const [family, fixtures] of Object.entries(FIXTURES)) {
  describe(family, () => {
    for (const fixture of fixtures) {
      const whole = parseChunks(fixture, [fixture.text]);

      test(fixture.name, () => {
        expect({
          content: whole.content,
          reasoning: whole.reasoning,
          calls: whole.toolCalls.map(({ name, arguments: args }): readonly [string, string] => [name, args]),
        }).toEqual({
          content: fixture.content ?? "",
          reasoning: fixture.reasoning ?? "",
          calls: [...(fixture.calls ?? [])],
        });
      });

      test(
        `${fixture.name}: wherever the text is cut`,
        () => {
          const { text } = fixture;
          expect(
            parseChunks(
              fixture,
              [...Array(text.length).keys()].map((at) => text.charAt(at)),
            ),
          ).toEqual(whole);
          const differing: number[][] = [];
          const expected = JSON.stringify(whole);
          for (let first = 0; first <= text.length; first += 1) {
            // All pairs for short texts, and pairs as far apart as a marker is long for others.
            const most = text.length <= 90 ? text.length : Math.min(text.length, first + 16);
            for (let second = first; second <= most; second += 1) {
              const result = JSON.stringify(parseChunks(fixture, cut(text, [first, second])));
              if (result !== expected) differing.push([first, second]);
            }
          }
          expect(differing).toEqual([]);
          const cuts = fc.array(fc.nat({ max: text.length }), { maxLength: 12 }).map((at) => at.sort((a, b) => a - b));
          fc.assert(
            fc.property(cuts, (at) => JSON.stringify(parseChunks(fixture, cut(text, at))) === expected),
            { numRuns: 50 },
          );
        },
        HEAVY_MS,
      );
    }
  });
}

/** What is wrong with the pieces of the first `length` units of a fixture. */
function faultsOfPrefix(fixture: Fixture, full: WholeOutput, length: number): string[] {
  const text = fixture.text.slice(0, length);
  const part = parseChunks(fixture, [text]);
  const units = parseChunks(fixture, text.split(""));
  const faults = JSON.stringify(units) === JSON.stringify(part) ? [] : [`cut differently: ${text}`];
  part.toolCalls.forEach((call, index) => {
    const whole = full.toolCalls[index];
    if (call.name !== whole?.name) faults.push(`another name: ${text}`);
    if (call.isComplete && call.arguments !== whole?.arguments) faults.push(`whole too early: ${text}`);
  });
  return faults;
}

test(
  "a text that ends anywhere is the same wherever it is cut, and no call looks whole that is not",
  () => {
    for (const fixture of Object.values(FIXTURES).flat()) {
      const full = parseChunks(fixture, [fixture.text]);
      for (let length = 0; length < fixture.text.length; length += 1) {
        expect(faultsOfPrefix(fixture, full, length)).toEqual([]);
      }
    }
  },
  HEAVY_MS,
);

test("ids that a format numbers", () => {
  for (const fixture of Object.values(FIXTURES).flat()) {
    if (fixture.ids === undefined) continue;
    const parser = createOutputParser(optionsOf(fixture));
    const { toolCalls } = joinPieces([...parser.push(fixture.text), ...parser.end()]);
    expect(toolCalls.map(({ id }) => id)).toEqual([...fixture.ids]);
  }
});
