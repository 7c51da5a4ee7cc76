import { describe, expect, test } from "bun:test";
import { createOutputParser } from "../../src/parser/create-output-parser.ts";
import { TOOLS } from "./fixtures/fixture.ts";
import { TOOL_CALL_PARSERS, type ToolCallParserName } from "../../src/parser/tool-call-parsers.ts";

/** Where time is quadratic, this much takes seconds. */
const SIZE = 1 << 17;
const MOST_MS = 400;

const all = Object.keys(TOOL_CALL_PARSERS) as ToolCallParserName[];
/** One name for each format. */
const names = all.filter(
  (name, index) =>
    all.findIndex((other) => TOOL_CALL_PARSERS[other].format === TOOL_CALL_PARSERS[name].format) === index,
);

/** What makes a reader begin, hope and give up, over and over. */
function worstCases(name: ToolCallParserName): string[] {
  const { format } = TOOL_CALL_PARSERS[name];
  const cases = [
    "<",
    "[",
    "{",
    "{[",
    '{"',
    '{"name":"ping","',
    "[ping(",
    "[ping(','",
    "\\",
    '"',
    "\n",
    "a",
    "<｜",
    "</",
    "&",
  ];
  if ("readAll" in format) {
    cases.push(
      "<|open|>",
      "<|open|>argument ",
      "<|close|>",
      "<|channel|>",
      "<|start|>x",
      "<|message|>",
      "<|content_thinking|>",
    );
    cases.push('<|open|>call tool="x"<|sep|>', '<|content_invoke_tool_json|>{"name":"x",');
    return cases;
  }
  for (const marker of [...(format.wrappers ?? []), ...format.openers, ...(format.closers ?? [])]) {
    cases.push(
      marker,
      marker.slice(0, -1),
      `${marker}{`,
      `${marker}[{"name":"x","arguments":`,
      `${marker}ping`,
      `${marker} `,
    );
  }
  const opener = format.openers[0] ?? "";
  cases.push(
    `${opener}ping><parameter=a>`,
    `${opener}ping"><parameter name="a">&`,
    `${opener}x<arg_key>`,
    `${opener}x</tool_call>`,
  );
  return cases.filter((part) => part !== "");
}

const NEARLY_CALLS: readonly (readonly [ToolCallParserName, string])[] = [
  ["json", "{"],
  ["json", '{"name":"ping",'],
  ["pythonic", "["],
  ["qwen", "<tool_call>"],
  ["qwen_xml", "<function=ping>"],
];

/** A call that has begun, and what its readers look at again and again. */
const WITHIN_CALLS: readonly (readonly [ToolCallParserName, prefix: string, part: string])[] = [
  ["qwen", '<tool_call>{"name":"ping","arguments":{"q":"', "</tool_call>"],
  ["qwen", '<tool_call>{"name":"ping","arguments":{"q":"', "</tool_call> \n"],
  ["qwen", '<tool_call>{"name":"ping","arguments":{"q":"', "</tool_call"],
  ["qwen", '<tool_call>{"name":"ping","arguments":{q:', "[{"],
  ["qwen", '<tool_call>{"name":"ping","arguments":{q:', "[}"],
  ["qwen", '<tool_call>{"name":"ping","arguments":{q:', ",'"],
  ["qwen", '<tool_call>{"name":"ping","arguments":x', ":"],
  ["nemotron", "<TOOLCALL>[", '{"bad":1},'],
  ["nemotron", '<TOOLCALL>[{"name":"ping"},', '"a",'],
  ["json", "[", '{"name":"rm","arguments":{}},'],
  ["pythonic", "[", "rm(a=1),"],
  ["pythonic", "", "[rm(a="],
  ["qwen_xml", "<function=search><parameter=q>", "\n<parameter="],
  ["qwen_xml", "<function=search><parameter=q>", "\n<parameter=q>"],
  ["qwen_xml", "<function=search><parameter=q>", "\n<function=rm>"],
  ["qwen_xml", "<function=search><parameter=q>", "\n<tool_call>\n"],
  ["qwen_xml", "<function=search><parameter=q>", "\n</tool_call>\n"],
  ["qwen_xml", "<function=search><parameter=q>\n</parameter>", " "],
  ["glm47_moe", "<tool_call>search<arg_key>q</arg_key><arg_value>", "<arg_key>q</arg_key>\n"],
  ["glm47_moe", "<tool_call>search<arg_key>q</arg_key><arg_value>", "<tool_call>rm"],
  ["gemma4", "<|tool_call>call:search{q:", "["],
  ["gemma4", "<|tool_call>call:search{q:[", "{},"],
  ["gemma4", "<|tool_call>call:search{", 'a:<|"|>b<|"|>,'],
  ["gemma4", '<|tool_call>call:search{a:<|"|>', "<tool_call|>\n"],
  ["gemma4", "", "<|tool_call>call:search{a:"],
];

/** Of the processor: others may have it, too. */
function milliseconds(name: ToolCallParserName, text: string, chunk: number): number {
  const from = process.cpuUsage();
  const parser = createOutputParser({ toolCalls: name, reasoning: "base", tools: TOOLS });
  for (let at = 0; at < text.length; at += chunk) parser.push(text.slice(at, at + chunk));
  parser.end();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1000;
}

describe("nonsense takes time in proportion to its length", () => {
  for (const name of names) {
    test(
      name,
      () => {
        const slow: string[] = [];
        for (const part of worstCases(name)) {
          const text = part.repeat(SIZE / part.length);
          for (const chunk of [SIZE, 64]) {
            const ms = milliseconds(name, text, chunk);
            if (ms > MOST_MS) slow.push(`${JSON.stringify(part)} in chunks of ${chunk}: ${Math.round(ms)} ms`);
          }
        }
        expect(slow).toEqual([]);
      },
      30_000,
    );
  }

  test("so does what stands within a call", () => {
    const slow: string[] = [];
    for (const [name, prefix, part] of WITHIN_CALLS) {
      const text = prefix + part.repeat(SIZE / part.length);
      for (const chunk of [SIZE, 64, 3]) {
        const ms = milliseconds(name, text, chunk);
        if (ms > MOST_MS) slow.push(`${JSON.stringify(prefix + part)} in chunks of ${chunk}: ${Math.round(ms)} ms`);
      }
    }
    expect(slow).toEqual([]);
  }, 60_000);

  test("so does what looks like the end of a text, over and over, and is not", () => {
    const slow: string[] = [];
    for (const token of ["<turn|>", "<tool_call|> ", "<|tool_response>\n"]) {
      const text = `<|tool_call>call:search{q:<|"|>${token.repeat(SIZE / token.length)}y`;
      const ms = milliseconds("gemma4", text, SIZE);
      if (ms > MOST_MS) slow.push(`${token}: ${Math.round(ms)} ms`);
    }
    expect(slow).toEqual([]);
  }, 30_000);

  test("a megabyte of what is nearly a call takes well under a second", () => {
    for (const [name, part] of NEARLY_CALLS) {
      const text = part.repeat((1 << 20) / part.length);
      // The first time the code is compiled.
      const best = Math.min(...[1, 2, 3].map(() => milliseconds(name, text, text.length)));
      expect([name, part, best < 800]).toEqual([name, part, true]);
    }
  }, 30_000);
});
