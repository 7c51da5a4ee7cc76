/** Microseconds that the parsers of tool calls and reasoning take for each push of a token's text. No sockets. */
import { createOutputParser, type OutputParserOptions } from "../src/parser/create-output-parser.ts";

const TOKENS = 2000;
/** Long enough for the compiler to have done its work. */
const MIN_MS = 400;

interface Family {
  readonly name: string;
  readonly options: Pick<OutputParserOptions, "reasoning" | "toolCalls">;
  readonly thinks: string;
  readonly answers: string;
  /** What stands before the text of an argument. */
  readonly calls: string;
}

const FAMILIES: readonly Family[] = [
  {
    name: "Qwen 3 (JSON)",
    options: { reasoning: "qwen3", toolCalls: "qwen" },
    thinks: "<think>",
    answers: "<think>\n</think>A",
    calls: '<tool_call>\n{"name": "write_file", "arguments": {"content": "',
  },
  {
    name: "Qwen3-Coder (tags)",
    options: { reasoning: "qwen3", toolCalls: "qwen_coder" },
    thinks: "<think>",
    answers: "A",
    calls: "<tool_call>\n<function=write_file>\n<parameter=content>\n",
  },
  {
    name: "gpt-oss (channels)",
    options: { reasoning: "harmony", toolCalls: "harmony" },
    thinks: "<|channel|>analysis<|message|>",
    answers: "<|channel|>final<|message|>",
    calls: '<|channel|>commentary to=functions.write_file <|constrain|>json<|message|>{"content": "',
  },
];

const TOOLS = [{ name: "write_file", parameters: { properties: { content: { type: "string" } } } }];

/** About 4 characters each, with the brackets that prose and code have. */
const WORDS = [
  "The",
  " quick",
  " <b>",
  " fox",
  ",",
  " a",
  " [1]",
  " over",
  " {x}",
  " the",
  " dog",
  ".\\n",
  " i",
  " <",
  " 10",
  "!",
];

function microsPerPush({ options }: Family, opening: string): number {
  let pushes = 0;
  let from = performance.now();
  for (const isCounted of [false, true]) {
    pushes = 0;
    from = performance.now();
    while (performance.now() - from < (isCounted ? MIN_MS : MIN_MS / 2)) {
      const parser = createOutputParser({ ...options, tools: TOOLS });
      parser.push(opening);
      for (let token = 0; token < TOKENS; token += 1) parser.push(WORDS[token & 15] ?? "");
      parser.end();
      pushes += TOKENS;
    }
  }
  return ((performance.now() - from) * 1000) / pushes;
}

function microsPerParser({ options }: Family): number {
  const from = performance.now();
  let count = 0;
  for (; performance.now() - from < MIN_MS / 2; count += 1) {
    const parser = createOutputParser({ ...options, tools: TOOLS });
    parser.push("Hi");
    parser.end();
  }
  return ((performance.now() - from) * 1000) / count;
}

console.log("| family | reasoning, us a push | content | arguments | a parser made and ended |");
console.log("|---|---|---|---|---|");
for (const family of FAMILIES) {
  const cells = [family.thinks, family.answers, family.calls].map((opening) => microsPerPush(family, opening));
  const all = [...cells, microsPerParser(family)].map((micros) => micros.toFixed(2));
  console.log(`| ${family.name} | ${all.join(" | ")} |`);
}
