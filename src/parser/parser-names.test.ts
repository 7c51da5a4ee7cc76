import { expect, test } from "bun:test";
import { reasoningParserNamed, toolCallParserNamed } from "./parser-names.ts";

test("parsers have the names that engines know them by, with hyphens or underscores", () => {
  expect(["deepseek-r1", "qwen3-thinking", "gpt-oss", "deepseek_r1", "kimi_k2"].map(reasoningParserNamed)).toEqual([
    "deepseek_r1",
    "qwen3_thinking",
    "harmony",
    "deepseek_r1",
    "kimi_thinking",
  ]);
  expect(["json", "kimi_k2", "qwen3_coder", "llama3_json", "glm45", "minimax-m2"].map(toolCallParserNamed)).toEqual([
    "json",
    "kimik2",
    "qwen_coder",
    "llama",
    "glm45_moe",
    "minimax_m2",
  ]);
});

test("a name that nobody has is none", () => {
  expect([reasoningParserNamed("nope"), toolCallParserNamed(""), toolCallParserNamed("toString")]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
