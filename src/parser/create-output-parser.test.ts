import { expect, test } from "bun:test";
import { createOutputParser, type OutputParserOptions } from "./create-output-parser.ts";
import { TOOLS } from "../../test/parser/fixtures/fixture.ts";
import { parseWhole } from "./parse-whole.ts";

/** The pieces that come out after each chunk, and at the end. */
function steps(options: Omit<OutputParserOptions, "tools">, chunks: readonly string[]): string[][] {
  const parser = createOutputParser({ tools: TOOLS, newCallId: () => "id", ...options });
  return [...chunks.map((chunk) => parser.push(chunk)), parser.end()].map((pieces) =>
    pieces.map((piece) => {
      if (piece.kind === "tool_call") return `call ${piece.index} ${piece.id} ${piece.name}`;
      return piece.kind === "tool_arguments" ? `args ${piece.index} ${piece.text}` : `${piece.kind} ${piece.text}`;
    }),
  );
}

test("content and reasoning come out at once, but for what may be the beginning of a marker", () => {
  const options = { reasoning: "qwen3", toolCalls: "qwen" } as const;
  expect(steps(options, ["<thi", "nk>A", "B </", "b> C<", "/think>", "\n", "D <tool", " E", " <"])).toEqual([
    [],
    ["reasoning A"],
    ["reasoning B "],
    ["reasoning </b> C"],
    [],
    [],
    ["content \nD "],
    ["content <tool E"],
    ["content  "],
    ["content <"],
  ]);
});

test("a name comes out when it is known, and JSON arguments as they come", () => {
  const chunks = [
    "<tool_call>",
    '{"name": "get_',
    'weather"',
    ', "arguments": {',
    '"city": "Os',
    'lo"}',
    "}</tool_call>",
  ];
  expect(steps({ toolCalls: "hermes" }, chunks)).toEqual([
    [],
    [],
    ["call 0 id get_weather"],
    ["args 0 {"],
    ['args 0 "city": "Os'],
    ['args 0 lo"}'],
    [],
    [],
  ]);
});

test("a tagged string comes out while it is written, another value when it is whole", () => {
  const chunks = ["<function=write_file>", "<parameter=content>\nline ", "1\n", 'line "2', "\n</parameter>\n"];
  const more = ["<parameter=lines>\n4", "2\n</parameter>", "</function>"];
  expect(steps({ toolCalls: "qwen_xml" }, [...chunks, ...more])).toEqual([
    [],
    ["call 0 id write_file", 'args 0 {"content":"line '],
    ["args 0 1"],
    ['args 0 \\nline \\"2'],
    [],
    ['args 0 ","lines":'],
    [],
    ["args 0 42}"],
    [],
  ]);
});

test("what wraps a call is held until it is known whether one follows", () => {
  const options = { toolCalls: "kimik2" } as const;
  expect(steps(options, ["A<|tool_calls_section_begin|>", "\n", "B"])).toEqual([
    ["content A"],
    [],
    ["content <|tool_calls_section_begin|>\nB"],
    [],
  ]);
});

test("an id has 24 hexadecimal digits and is not used twice", () => {
  const text = '<tool_call>{"name":"ping"}</tool_call>'.repeat(2);
  const [first, second] = parseWhole(text, { toolCalls: "hermes", tools: TOOLS }).toolCalls;
  expect(first?.id).toMatch(/^call_[0-9a-f]{24}$/);
  expect(second?.id).toMatch(/^call_[0-9a-f]{24}$/);
  expect(first?.id).not.toBe(second?.id ?? "");
});

test("a cut call is told from a whole one", () => {
  const text = '<tool_call>{"name":"ping","arguments":{"a":1}}</tool_call><tool_call>{"name":"ping","arguments":{"a":';
  const calls = parseWhole(text, { toolCalls: "hermes", tools: TOOLS }).toolCalls;
  expect(calls.map(({ isComplete }) => isComplete)).toEqual([true, false]);
});

test("a call cut at any place is never whole in another way", () => {
  const text = "<tool_call>\n<function=search>\n<parameter=q>\nten\n</parameter>\n</function>\n</tool_call>";
  const options = { toolCalls: "qwen_xml", tools: TOOLS } as const;
  for (let length = 0; length < text.length; length += 1) {
    const [call] = parseWhole(text.slice(0, length), options).toolCalls;
    if (call?.isComplete === true) expect(call.arguments).toBe('{"q":"ten"}');
  }
});

test("without parsers the text is content", () => {
  expect(steps({}, ["<think>A</think>", '<tool_call>{"name":"ping"}'])).toEqual([
    ["content <think>A</think>"],
    ['content <tool_call>{"name":"ping"}'],
    [],
  ]);
});

test("nothing comes after the end", () => {
  const parser = createOutputParser({ tools: [] });
  expect(parser.push("A")).toEqual([{ kind: "content", text: "A" }]);
  expect(parser.end()).toEqual([]);
  expect(parser.push("B")).toEqual([]);
  expect(parser.end()).toEqual([]);
});
