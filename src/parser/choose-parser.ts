import { REASONING_PARSERS, type ReasoningParserName } from "./reasoning-parsers.ts";
import { TOOL_CALL_PARSERS, type ToolCallParserName } from "./tool-call-parsers.ts";

/** What the gateway knows about a model. */
export interface ModelFacts {
  readonly modelId: string;
  /** Text of its chat template. It comes before the id, because it says more. */
  readonly chatTemplate?: string | undefined;
}

interface IdRule {
  /** Matched against the id in lower case, with `_` and spaces as `-`. */
  readonly id: RegExp;
  readonly toolCalls?: ToolCallParserName;
  readonly reasoning?: ReasoningParserName;
}

function rule(id: RegExp, toolCalls?: ToolCallParserName, reasoning?: ReasoningParserName): IdRule {
  return { id, ...(toolCalls && { toolCalls }), ...(reasoning && { reasoning }) };
}

/** The first rule that matches is used. A fine-tuned family stands before the family that it was made from. */
const ID_RULES: readonly IdRule[] = [
  rule(/gpt-?oss/, "harmony", "harmony"),
  rule(/hermes-4/, "hermes", "base"),
  rule(/hermes/, "hermes"),
  rule(/deepseek-r1/, "deepseek", "deepseek_r1"),
  rule(/deepseek-v?3[.-]?2-exp/, "deepseek31", "deepseek_v31"),
  rule(/deepseek-v?3[.-]?2/, "deepseek32", "deepseek_v31"),
  rule(/deepseek-v?3[.-]?1/, "deepseek31", "deepseek_v31"),
  rule(/deepseek-v?4[.-]1/, "deepseek_v41", "deepseek_v31"),
  rule(/deepseek-v?4/, "deepseek_v4", "deepseek_v31"),
  rule(/deepseek-(?:v?3|chat)/, "deepseek"),
  rule(/deepseek-reasoner/, "deepseek", "deepseek_r1"),
  rule(/llama-?3.*nemotron-70b/, "llama"),
  rule(/llama.*nemotron/, "nemotron", "base"),
  rule(/nemotron-(?:3|nano-3|super|ultra)|nano-v3/, "nemotron3", "nano_v3"),
  rule(/nemotron/, "nemotron", "nano_v3"),
  rule(/qwq|qwen3.*thinking|qwen-thinking/, "qwen", "qwen3_thinking"),
  rule(/qwen-?3-coder/, "qwen_coder"),
  rule(/qwen-?(?:3\.[5-9]|[4-9])/, "qwen_xml", "qwen3"),
  rule(/qwen-?3/, "qwen", "qwen3"),
  rule(/qwen/, "qwen"),
  rule(/kimi-k3/, "kimi_k3", "kimi_k3"),
  rule(/kimi-k2-thinking/, "kimik2", "kimi_thinking"),
  rule(/kimi-k2\.[5-9]/, "kimik2", "kimi_k25"),
  rule(/kimi-k2/, "kimik2"),
  rule(/kimi/, undefined, "kimi"),
  rule(/glm-?(?:4\.[7-9]|[5-9])/, "glm47_moe", "glm45"),
  rule(/glm-?4\.[56]/, "glm45_moe", "glm45"),
  rule(/glm-?z1/, undefined, "base"),
  rule(/minimax-?m2|mm-m2/, "minimax_m2", "minimax"),
  rule(/step-?3\.5|step3p5/, "step3p5", "step3"),
  rule(/step-?3/, "step3", "step3"),
  rule(/magistral/, "mistral", "mistral"),
  rule(/mistral|mixtral|devstral|ministral|pixtral|codestral/, "mistral"),
  rule(/command-a-reasoning/, "cohere", "cohere_cmd"),
  rule(/command-(?:r7b|a)/, "cohere", "cohere_cmd"),
  rule(/granite-?4/, "hermes"),
  rule(/granite-?3\.[2-9]/, "granite", "granite"),
  rule(/granite/, "granite"),
  rule(/seed-?oss/, "seed_oss", "seed_oss"),
  rule(/hunyuan/, "hunyuan", "hunyuan"),
  rule(/jamba/, "hunyuan"),
  rule(/internlm/, "internlm"),
  rule(/phi-?4-mini/, "phi4_mini"),
  rule(/mimo-?v2/, "mimo", "qwen3"),
  rule(/mimo/, "hermes", "base"),
  rule(/exaone/, "hermes", "base"),
  rule(/ernie/, "hermes", "base"),
  rule(/longcat/, "longcat", "base"),
  rule(/olmo-?3/, "olmo3", "base"),
  rule(/lfm-?2/, "lfm2"),
  rule(/sarashina/, "sarashina"),
  rule(/inkling/, "inkling", "inkling"),
  rule(/llama-?4/, "pythonic"),
  rule(/llama-?3/, "llama"),
  rule(/gemma-?4/, "gemma4", "gemma4"),
  rule(/gpt-|claude|gemini|gemma|palm/, "json"),
];

type Signs<Name> = readonly (readonly [Name | undefined, readonly string[]])[];

/**
 * A template that has all texts of a row uses the row's format; the first such row counts. undefined means a format that no
 * parser here reads, although it has the markers of another one.
 */
const TOOL_CALL_SIGNS: Signs<ToolCallParserName> = [
  // MiniMax M3 and Solar Open.
  [undefined, ["]<]minimax[>["]],
  [undefined, ["<|tool_call:begin|>"]],
  ["harmony", ["<|channel|>", "<|message|>"]],
  ["kimi_k3", ["<|open|>", "<|sep|>"]],
  ["kimik2", ["<|tool_calls_section_begin|>"]],
  ["deepseek_v41", ["<｜DSML｜ calls>"]],
  ["deepseek_v4", ["｜DSML｜", "tool_calls>"]],
  ["deepseek32", ["｜DSML｜"]],
  ["deepseek", ["<｜tool▁sep｜>", "```json"]],
  ["deepseek31", ["<｜tool▁sep｜>"]],
  ["step3", ["steptml:invoke"]],
  ["minimax_m2", ["<minimax:tool_call>"]],
  ["seed_oss", ["<seed:tool_call>"]],
  ["glm47_moe", ["<arg_key>"]],
  ["qwen_xml", ["<tool_call>", "<function=", "<parameter="]],
  // Apriel: its template also mentions the other tag.
  ["hunyuan", ["<tool_calls>[{"]],
  ["hermes", ["<tool_call>"]],
  ["nemotron", ["<TOOLCALL>"]],
  ["longcat", ["<longcat_tool_call>"]],
  ["cohere", ["<|START_ACTION|>"]],
  ["internlm", ["<|action_start|>"]],
  ["inkling", ["<|content_invoke_tool_json|>"]],
  ["lfm2", ["<|tool_list_start|>"]],
  ["lfm2", ["<|tool_call_start|>"]],
  ["sarashina", ["<|tool_calls|>"]],
  ["olmo3", ["<function_calls>"]],
  ["hunyuan", ["<tool_calls>"]],
  ["granite", ["<|tool_call|>"]],
  ["phi4_mini", ["functools"]],
  ["gemma4", ["<|tool_call>", "<tool_call|>"]],
  ["mistral", ["[TOOL_CALLS]"]],
  ["llama", ["<|python_tag|>"]],
  ["pythonic", ["<|python_start|>"]],
];

const REASONING_SIGNS: Signs<ReasoningParserName> = [
  ["harmony", ["<|channel|>", "analysis"]],
  ["kimi_k3", ["<|open|>think"]],
  ["inkling", ["<|content_thinking|>"]],
  ["cohere_cmd", ["<|START_THINKING|>"]],
  ["gemma4", ["<|channel>"]],
  ["mistral", ["[THINK]"]],
  ["seed_oss", ["<seed:think>"]],
  ["kimi", ["◁think▷"]],
  ["granite", ["Here is my thought process:"]],
  ["granite", ["Here's my thought process:"]],
  ["hunyuan", ["<think>", "<answer>"]],
  ["base", ["</think>"]],
];

/** The parser for a model's tool calls; undefined where neither template nor id matches. */
export function toolCallParserFor(facts: ModelFacts): ToolCallParserName | undefined {
  const byId = ruleFor(facts.modelId)?.toolCalls;
  const sign = signed(TOOL_CALL_SIGNS, facts.chatTemplate);
  if (sign === undefined) return byId;
  const [byTemplate] = sign;
  if (byTemplate === undefined || byId === undefined) return byTemplate;
  const isSame = TOOL_CALL_PARSERS[byId].format === TOOL_CALL_PARSERS[byTemplate].format;
  return isSame ? byId : byTemplate;
}

/** The parser for a model's reasoning; undefined where neither template nor id matches. */
export function reasoningParserFor(facts: ModelFacts): ReasoningParserName | undefined {
  const byId = ruleFor(facts.modelId)?.reasoning;
  const byTemplate = signed(REASONING_SIGNS, facts.chatTemplate)?.[0];
  if (byTemplate === undefined || byId === undefined) return byTemplate ?? byId;
  return REASONING_PARSERS[byId].format === REASONING_PARSERS[byTemplate].format ? byId : byTemplate;
}

/** Whether the end of a prompt opens (true) or closes (false) the reasoning, for `startsInReasoning`; undefined where it does neither. */
export function promptOpensReasoning(name: ReasoningParserName, prompt: string): boolean | undefined {
  const { format } = REASONING_PARSERS[name];
  const opening = "readAll" in format ? format.opensReasoning : format.start + (format.label ?? "");
  const tail = prompt.slice(-256).trimEnd();
  if (tail.endsWith(opening)) return true;
  return !("readAll" in format) && tail.endsWith(format.end) ? false : undefined;
}

function ruleFor(modelId: string): IdRule | undefined {
  const id = modelId.toLowerCase().replace(/[_\s]/g, "-");
  return ID_RULES.find((rule) => rule.id.test(id));
}

/** The first row whose texts are all in the template. */
function signed<Name>(signs: Signs<Name>, template = ""): Signs<Name>[number] | undefined {
  return signs.find(([, texts]) => texts.every((text) => template.includes(text)));
}
