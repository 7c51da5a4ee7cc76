import { isReasoningParserName, type ReasoningParserName } from "./reasoning-parsers.ts";
import { isToolCallParserName, type ToolCallParserName } from "./tool-call-parsers.ts";

/** Names of SGLang and vLLM for parsers that have another name here; with underscores. */
const TOOL_CALL_ALIASES: ReadonlyMap<string, ToolCallParserName> = new Map([
  ["deepseek_v3", "deepseek"],
  ["deepseekv3", "deepseek"],
  ["deepseek_v31", "deepseek31"],
  ["deepseekv31", "deepseek31"],
  ["deepseek_v32", "deepseek32"],
  ["deepseekv32", "deepseek32"],
  ["glm45", "glm45_moe"],
  ["glm47", "glm47_moe"],
  ["gpt_oss", "harmony"],
  ["openai", "harmony"],
  ["hunyuan_a13b", "hunyuan"],
  ["jamba", "hunyuan"],
  ["kimi_k2", "kimik2"],
  ["llama3", "llama"],
  ["llama3_json", "llama"],
  ["llama4_pythonic", "pythonic"],
  ["minimax", "minimax_m2"],
  ["phi4_mini_json", "phi4_mini"],
  ["qwen25", "qwen"],
  ["qwen3_coder", "qwen_coder"],
  ["qwen3_xml", "qwen_xml"],
]);

const REASONING_ALIASES: ReadonlyMap<string, ReasoningParserName> = new Map([
  ["deepseek_v3", "deepseek_v31"],
  ["gpt_oss", "harmony"],
  ["openai_gptoss", "harmony"],
  ["hunyuan_a13b", "hunyuan"],
  ["kimi_k2", "kimi_thinking"],
  ["minimax_m2", "minimax"],
]);

/** The parser of tool calls with this name here, in SGLang or in vLLM, with hyphens or underscores; undefined where none has it. */
export function toolCallParserNamed(name: string): ToolCallParserName | undefined {
  const plain = name.replaceAll("-", "_");
  return isToolCallParserName(plain) ? plain : TOOL_CALL_ALIASES.get(plain);
}

/** The parser of reasoning with this name, looked up as by `toolCallParserNamed`. */
export function reasoningParserNamed(name: string): ReasoningParserName | undefined {
  const plain = name.replaceAll("-", "_");
  return isReasoningParserName(plain) ? plain : REASONING_ALIASES.get(plain);
}
