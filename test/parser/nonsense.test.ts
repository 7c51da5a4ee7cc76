import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createOutputParser } from "../../src/parser/create-output-parser.ts";
import { FIXTURES } from "./fixtures/all.ts";
import { TOOLS } from "./fixtures/fixture.ts";
import { joinPieces, parseWhole, type WholeOutput } from "../../src/parser/parse-whole.ts";
import { REASONING_PARSERS, type ReasoningParserName } from "../../src/parser/reasoning-parsers.ts";
import { TOOL_CALL_PARSERS, type ToolCallParserName } from "../../src/parser/tool-call-parsers.ts";

const toolCallNames = Object.keys(TOOL_CALL_PARSERS) as ToolCallParserName[];
const reasoningNames = Object.keys(REASONING_PARSERS) as ReasoningParserName[];

/** Markers, names and brackets: whatever any fixture is made of. */
const fragments = [
  ...new Set(
    Object.values(FIXTURES)
      .flat()
      .flatMap(({ text }) => text.match(/<[^>\n]*>|\[[A-Z_/]+\]|"[^"]*"|\w+|[^\w\s]|\s+/g) ?? []),
  ),
];

const soup = fc
  .array(
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...fragments) }, fc.string({ unit: "binary", maxLength: 4 })),
    {
      maxLength: 40,
    },
  )
  .map((parts) => parts.join(""));

/** Soup that has the markers of one family more than others. */
function soupOf(name: ToolCallParserName): fc.Arbitrary<string> {
  const { format } = TOOL_CALL_PARSERS[name];
  const markers = "readAll" in format ? [] : [...(format.wrappers ?? []), ...format.openers, ...(format.closers ?? [])];
  const own = Object.values(FIXTURES)
    .flat()
    .filter(({ options }) => options.toolCalls === name)
    .flatMap(({ text }) => text.match(/<[^>\n]*>|\[[A-Z_/]+\]|"[^"]*"|\w+|[^\w\s]|\s+/g) ?? []);
  const part = fc.constantFrom(...markers, ...own, "{", "}", "x", '"');
  return fc.array(part, { maxLength: 40 }).map((parts) => parts.join(""));
}

function withoutIds({ toolCalls, ...rest }: WholeOutput): unknown {
  return { ...rest, toolCalls: toolCalls.map(({ name, arguments: args }) => [name, args]) };
}

/** An opener or wrapper that closes right away says nothing. */
function withoutEmptySections(text: string, name: ToolCallParserName): string {
  const { format, stopTokens } = TOOL_CALL_PARSERS[name];
  if ("readAll" in format || (format.closers ?? []).length === 0) return text;
  const any = (all: readonly string[]): string => `(?:${all.map(RegExp.escape).join("|")})`;
  const openers = format.isMarked ? format.openers.filter((opener) => opener.endsWith(">")) : [];
  const parts = [
    ...(openers.length > 0 ? [`${any(openers)}(?:\\s*\\[\\s*\\])?`] : []),
    ...(format.wrappers ? [any(format.wrappers)] : []),
  ];
  if (parts.length === 0) return text;
  const space = stopTokens.length > 0 ? `(?:\\s|${any(stopTokens)})*` : "\\s*";
  return text.replaceAll(new RegExp(`(?:(?:${parts.join("|")})${space})+${any(format.closers ?? [])}`, "g"), "");
}

describe("nonsense", () => {
  for (const toolCalls of toolCallNames) {
    test(`${toolCalls}: never throws, and is the same wherever it is cut`, () => {
      const text = fc.oneof(soup, soupOf(toolCalls));
      const cuts = fc.array(fc.nat({ max: 200 }), { maxLength: 8 });
      const reasoning = fc.constantFrom(undefined, ...reasoningNames);
      fc.assert(
        fc.property(text, cuts, reasoning, fc.boolean(), (text, cuts, reasoning, startsInReasoning) => {
          const options = { toolCalls, reasoning, startsInReasoning, tools: TOOLS };
          const parser = createOutputParser(options);
          const bounds = [0, ...cuts.filter((at) => at < text.length).sort((a, b) => a - b), text.length];
          const chunks = bounds.slice(1).map((end, index) => text.slice(bounds[index], end));
          const streamed = joinPieces([...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()]);
          const single = createOutputParser(options);
          const units = [...Array(text.length).keys()].flatMap((at) => single.push(text.charAt(at)));
          const whole = withoutIds(parseWhole(text, options));
          expect(withoutIds(streamed)).toEqual(whole);
          expect(withoutIds(joinPieces([...units, ...single.end()]))).toEqual(whole);
        }),
        { numRuns: 300 },
      );
    });

    test(`${toolCalls}: a text without a call comes out as it is`, () => {
      const { format, stopTokens } = TOOL_CALL_PARSERS[toolCalls];
      if ("readAll" in format) return;
      fc.assert(
        fc.property(fc.oneof(soup, soupOf(toolCalls)), (text) => {
          const { content, toolCalls: calls } = parseWhole(text, { toolCalls, tools: TOOLS });
          if (calls.length > 0) return;
          const kept = withoutEmptySections(
            (format.ignored ?? []).reduce((rest, marker) => rest.replaceAll(marker, ""), text),
            toolCalls,
          );
          // But for tokens that end it.
          const ends = [...stopTokens].reduce((rest, token) => rest.replaceAll(token, ""), kept);
          if (content !== kept) expect(content.length).toBeGreaterThanOrEqual(ends.length);
          // Behind a call that never ends an empty section is part of what stays text.
          const shown = withoutEmptySections(content, toolCalls);
          if (stopTokens.every((token) => !text.includes(token))) expect(shown).toBe(kept);
        }),
        { numRuns: 300 },
      );
    });
  }

  test("words between what models write are never lost", () => {
    for (const { name, text, options } of Object.values(FIXTURES).flat()) {
      // What follows a cut header is part of the header, and headers are not shown.
      if (name === "cut within the header") continue;
      // A cut text takes what follows into what it was cut in: it is there all the same.
      const joined = `zebra1 ${text} zebra2 ${text} zebra3`;
      const { content, reasoning, toolCalls } = parseWhole(joined, { tools: TOOLS, ...options });
      const all = [content, reasoning, ...toolCalls.map(({ arguments: args }) => args)].join("\n");
      for (const word of ["zebra1", "zebra2", "zebra3"]) expect([text, all.includes(word)]).toEqual([text, true]);
    }
  });

  test("parsers of one kind know nothing of each other", () => {
    for (const fixture of Object.values(FIXTURES).flat()) {
      const options = { tools: TOOLS, ...fixture.options };
      const alone = withoutIds(parseWhole(fixture.text, options));
      const parsers = [createOutputParser(options), createOutputParser(options)];
      const pieces = parsers.map((): ReturnType<(typeof parsers)[0]["push"]> => []);
      for (let at = 0; at < fixture.text.length; at += 3) {
        parsers.forEach((parser, index) => pieces[index]?.push(...parser.push(fixture.text.slice(at, at + 3))));
      }
      parsers.forEach((parser, index) => pieces[index]?.push(...parser.end()));
      for (const own of pieces) expect(withoutIds(joinPieces(own))).toEqual(alone);
    }
  });
});
