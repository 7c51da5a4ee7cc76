import { expect, test } from "bun:test";
import { isReasoningParserName, type ReasoningParserName } from "./reasoning-parsers.ts";
import { isToolCallParserName, type ToolCallParserName } from "./tool-call-parsers.ts";
import { promptOpensReasoning, reasoningParserFor, toolCallParserFor } from "./choose-parser.ts";

const IDS: readonly (readonly [string, ToolCallParserName | undefined, ReasoningParserName | undefined])[] = [
  ["meta-llama/Llama-3.1-8B-Instruct", "llama", undefined],
  ["meta-llama/Llama-3.2-3B-Instruct", "llama", undefined],
  ["meta-llama/Llama-4-Scout-17B-16E-Instruct", "pythonic", undefined],
  ["mistralai/Mistral-7B-Instruct-v0.3", "mistral", undefined],
  ["mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral", undefined],
  ["mistralai/Magistral-Small-2509", "mistral", "mistral"],
  ["mistralai/Devstral-Small-2507", "mistral", undefined],
  ["Qwen/Qwen2.5-7B-Instruct", "qwen", undefined],
  ["Qwen/QwQ-32B", "qwen", "qwen3_thinking"],
  ["Qwen/Qwen3-8B", "qwen", "qwen3"],
  ["Qwen/Qwen3-30B-A3B-Thinking-2507", "qwen", "qwen3_thinking"],
  ["Qwen/Qwen3-Next-80B-A3B-Thinking", "qwen", "qwen3_thinking"],
  ["Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen_coder", undefined],
  ["Qwen/Qwen3.5-27B", "qwen_xml", "qwen3"],
  ["Qwen/Qwen3.6-27B", "qwen_xml", "qwen3"],
  ["deepseek-ai/DeepSeek-R1-0528", "deepseek", "deepseek_r1"],
  ["deepseek-ai/DeepSeek-V3-0324", "deepseek", undefined],
  ["deepseek-ai/DeepSeek-V3.1", "deepseek31", "deepseek_v31"],
  ["deepseek-ai/DeepSeek-V3.2-Exp", "deepseek31", "deepseek_v31"],
  ["deepseek-ai/DeepSeek-V3.2", "deepseek32", "deepseek_v31"],
  ["deepseek-ai/DeepSeek-V4-Flash", "deepseek_v4", "deepseek_v31"],
  ["deepseek-ai/DeepSeek-V4.1-Flash", "deepseek_v41", "deepseek_v31"],
  ["zai-org/GLM-4.5-Air", "glm45_moe", "glm45"],
  ["zai-org/GLM-4.6", "glm45_moe", "glm45"],
  ["zai-org/GLM-4.7", "glm47_moe", "glm45"],
  ["zai-org/GLM-5", "glm47_moe", "glm45"],
  ["moonshotai/Kimi-K2-Instruct", "kimik2", undefined],
  ["moonshotai/Kimi-K2-Thinking", "kimik2", "kimi_thinking"],
  ["moonshotai/Kimi-K2.6", "kimik2", "kimi_k25"],
  ["moonshotai/Kimi_K3", "kimi_k3", "kimi_k3"],
  ["MiniMaxAI/MiniMax-M2.7", "minimax_m2", "minimax"],
  ["stepfun-ai/step3", "step3", "step3"],
  ["stepfun-ai/Step-3.5-Flash", "step3p5", "step3"],
  ["CohereLabs/command-a-reasoning-08-2025", "cohere", "cohere_cmd"],
  ["nvidia/NVIDIA-Nemotron-Nano-9B-v2", "nemotron", "nano_v3"],
  ["nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B", "nemotron3", "nano_v3"],
  ["nvidia/Llama-3.1-Nemotron-70B-Instruct", "llama", undefined],
  ["nvidia/Llama-3_3-Nemotron-Super-49B-v1", "nemotron", "base"],
  ["openai/gpt-oss-120b", "harmony", "harmony"],
  ["google/gemma-3-27b-it", "json", undefined],
  ["google/gemma-4-31B-it", "gemma4", "gemma4"],
  ["sbintuitions/sarashina2.2-3b-instruct", "sarashina", undefined],
  ["NousResearch/Hermes-3-Llama-3.1-8B", "hermes", undefined],
  ["ibm-granite/granite-3.3-8b-instruct", "granite", "granite"],
  ["ibm-granite/granite-4.0-h-small", "hermes", undefined],
  ["microsoft/Phi-4-mini-instruct", "phi4_mini", undefined],
  ["ByteDance-Seed/Seed-OSS-36B-Instruct", "seed_oss", "seed_oss"],
  ["XiaomiMiMo/MiMo-V2-Flash", "mimo", "qwen3"],
  ["MiniMaxAI/MiniMax-M2", "minimax_m2", "minimax"],
  ["MiniMaxAI/MiniMax-M3", undefined, undefined],
  ["MiniMaxAI/MiniMax-M1-80k", undefined, undefined],
  ["MiniMaxAI/MiniMax-Text-01", undefined, undefined],
  ["CohereLabs/c4ai-command-r7b-12-2024", "cohere", "cohere_cmd"],
  ["CohereLabs/c4ai-command-a-03-2025", "cohere", "cohere_cmd"],
  ["CohereLabs/c4ai-command-r-plus-08-2024", undefined, undefined],
  ["CohereLabs/c4ai-command-r-v01", undefined, undefined],
  ["CohereLabs/aya-expanse-8b", undefined, undefined],
  ["LiquidAI/LFM2.5-1.2B-Instruct", "lfm2", undefined],
  ["someone/my-model", undefined, undefined],
];

for (const [modelId, toolCalls, reasoning] of IDS) {
  test(`${modelId} by its id`, () => {
    expect([toolCallParserFor({ modelId }), reasoningParserFor({ modelId })]).toEqual([toolCalls, reasoning]);
  });
}

test("the template of a model tells more than its id", () => {
  const modelId = "me/llama-3-tuned";
  expect(toolCallParserFor({ modelId, chatTemplate: "... <tool_call>\\n{...}\\n</tool_call>" })).toBe("hermes");
  expect(toolCallParserFor({ modelId, chatTemplate: "<tool_call>\n<function=a>\n<parameter=b>" })).toBe("qwen_xml");
  expect(toolCallParserFor({ modelId, chatTemplate: "[TOOL_CALLS]" })).toBe("mistral");
  expect(reasoningParserFor({ modelId, chatTemplate: "{{ content.split('</think>') }}" })).toBe("base");
  expect(reasoningParserFor({ modelId: "x", chatTemplate: "[THINK]" })).toBe("mistral");
});

test("the id chooses among names of one format", () => {
  const chatTemplate = "<tool_call> <function=a> <parameter=b> </think>";
  expect(toolCallParserFor({ modelId: "nemotron-3-nano", chatTemplate })).toBe("nemotron3");
  expect(reasoningParserFor({ modelId: "qwq-32b", chatTemplate })).toBe("qwen3_thinking");
});

test("a template of a format that no parser reads chooses none, whatever else it has", () => {
  const modelId = "me/hermes-3-tuned";
  expect(
    toolCallParserFor({ modelId, chatTemplate: "]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=" }),
  ).toBeUndefined();
  expect(toolCallParserFor({ modelId, chatTemplate: "<|tool_calls|><|tool_call:begin|>" })).toBeUndefined();
  expect(toolCallParserFor({ modelId, chatTemplate: "<|tool_calls|>" })).toBe("sarashina");
});

test("a list in tags of its own is told from JSON in the tag that the template talks of", () => {
  const chatTemplate =
    'within <tool_call></tool_call> XML tags: <tool_calls>[{"name": <function-name-1>}]</tool_calls>';
  expect(toolCallParserFor({ modelId: "ServiceNow-AI/Apriel-1.5-15b-Thinker", chatTemplate })).toBe("hunyuan");
});

test("a template without signs leaves it to the id", () => {
  expect(toolCallParserFor({ modelId: "Qwen3-8B", chatTemplate: "{{ messages }}" })).toBe("qwen");
});

test("the end of a prompt tells whether the model is thinking already", () => {
  expect(promptOpensReasoning("qwen3", "<|im_start|>assistant\n<think>\n")).toBe(true);
  expect(promptOpensReasoning("qwen3", "<|im_start|>assistant\n<think>\n\n</think>\n\n")).toBe(false);
  expect(promptOpensReasoning("deepseek_r1", "<｜Assistant｜>")).toBeUndefined();
  expect(promptOpensReasoning("harmony", "<|start|>assistant<|channel|>analysis<|message|>")).toBe(true);
  expect(promptOpensReasoning("kimi_k3", "<|open|>think<|sep|>")).toBe(true);
  expect(promptOpensReasoning("gemma4", "<|turn>model\n<|channel>thought\n")).toBe(true);
  expect(promptOpensReasoning("gemma4", "<|turn>model\n<|channel>thought\n<channel|>")).toBe(false);
});

test("names that someone configured are told from others", () => {
  expect([isToolCallParserName("qwen_xml"), isToolCallParserName("toString")]).toEqual([true, false]);
  expect([isReasoningParserName("qwen3"), isReasoningParserName("qwen_xml")]).toEqual([true, false]);
});
