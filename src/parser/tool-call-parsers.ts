import type { CallFormat, ChannelFormat } from "./call-format.ts";
import { bareJson } from "./formats/bare-json.ts";
import { jsonArray, jsonObject } from "./formats/constrained.ts";
import { deepseek } from "./formats/deepseek.ts";
import { dsml } from "./formats/dsml.ts";
import { gemma4 } from "./formats/gemma4.ts";
import { glm } from "./formats/glm.ts";
import { harmony } from "./formats/harmony.ts";
import { inkling } from "./formats/inkling.ts";
import { jsonBlock } from "./formats/json-block.ts";
import { kimiK2 } from "./formats/kimi-k2.ts";
import { kimiK3 } from "./formats/kimi-k3.ts";
import { llama } from "./formats/llama.ts";
import { minimax } from "./formats/minimax.ts";
import { mistral } from "./formats/mistral.ts";
import { lfm2, olmo3, pythonic } from "./formats/pythonic.ts";
import { functionTags } from "./formats/qwen-xml.ts";
import { sarashina } from "./formats/sarashina.ts";
import { step3 } from "./formats/step3.ts";

export interface ToolCallParserRow {
  readonly family: string;
  readonly description: string;
  /** The markers are special tokens, so detokenizing must keep special tokens. */
  readonly needsSpecialTokens: boolean;
  /** Tokens that end an answer. At the end of the text they are dropped. */
  readonly stopTokens: readonly string[];
  readonly format: CallFormat | ChannelFormat;
}

type RowParts = Partial<Pick<ToolCallParserRow, "needsSpecialTokens" | "stopTokens">>;

function row(
  family: string,
  description: string,
  format: CallFormat | ChannelFormat,
  { needsSpecialTokens = false, stopTokens = [] }: RowParts = {},
): ToolCallParserRow {
  return { family, description, needsSpecialTokens, stopTokens, format };
}

const SPECIAL = { needsSpecialTokens: true };
const CHATML = ["<|im_end|>", "<|endoftext|>"];
const COHERE = ["<|END_OF_TURN_TOKEN|>"];
const GRANITE = ["<|end_of_text|>"];
const INTERNLM = ["<|im_end|>"];
const DEEPSEEK = { needsSpecialTokens: true, stopTokens: ["<｜end▁of▁sentence｜>"] };
const DSML = { needsSpecialTokens: true, stopTokens: ["<｜end▁of▁sentence｜>"] };
const GLM = { stopTokens: ["<|user|>", "<|observation|>", "<|endoftext|>"] };
const LLAMA = { needsSpecialTokens: true, stopTokens: ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"] };
const LLAMA4 = { stopTokens: ["<|eot|>", "<|eom|>", "<|end_of_text|>"] };

const functionCalls = functionTags("<tool_call>", "</tool_call>", "trimmed");
const functionCallsAsIs = functionTags("<tool_call>", "</tool_call>", "kept");
const hermes = jsonBlock(["<tool_call>"], ["</tool_call>"], CHATML);

const rows = {
  json: row("Any", "bare JSON anywhere in the text; only calls of declared tools", bareJson),
  json_array: row("Constrained", "an array of `{name, parameters}` that the engine was made to write", jsonArray),
  json_object: row("Constrained", "the arguments of the one tool that the engine was made to call", jsonObject),
  hermes: row("Hermes", "JSON in `<tool_call>`", hermes, { stopTokens: CHATML }),
  qwen: row("Qwen 2 to 3, QwQ, EXAONE 4, Granite 4", "JSON in `<tool_call>`", hermes, { stopTokens: CHATML }),
  qwen_xml: row("Qwen3-Coder, Qwen 3.5 and later", "`<function=...>` in `<tool_call>`", functionCalls, {
    stopTokens: CHATML,
  }),
  qwen_coder: row("Qwen3-Coder", "as qwen_xml", functionCalls, { stopTokens: CHATML }),
  nemotron3: row("Nemotron 3", "as qwen_xml", functionCalls, { stopTokens: CHATML }),
  mimo: row("MiMo V2", "as qwen_xml, line breaks kept", functionCallsAsIs, { stopTokens: CHATML }),
  step3p5: row("Step 3.5", "as qwen_xml", functionCalls, { stopTokens: CHATML }),
  seed_oss: row(
    "Seed-OSS",
    "`<function=...>` in `<seed:tool_call>`",
    functionTags("<seed:tool_call>", "</seed:tool_call>", "trimmed in pairs"),
    {
      stopTokens: ["<seed:eos>"],
    },
  ),
  llama: row("Llama 3", "JSON as the whole message or after `<|python_tag|>`", llama, LLAMA),
  pythonic: row("Llama 4", "`[name(key=value)]`; only calls of declared tools", pythonic, LLAMA4),
  olmo3: row("Olmo 3", "`name(key=value)` lines in `<function_calls>`", olmo3, { stopTokens: CHATML }),
  lfm2: row("LFM2, LFM2.5", "a list of `name(key=value)` after `<|tool_call_start|>`", lfm2, {
    needsSpecialTokens: true,
    stopTokens: ["<|im_end|>"],
  }),
  mistral: row("Mistral, Magistral, Devstral", "`[TOOL_CALLS]`, as array or `name[ARGS]{...}`", mistral, {
    needsSpecialTokens: true,
    stopTokens: ["</s>"],
  }),
  deepseek: row("DeepSeek V3, R1-0528", "fenced JSON between special tokens", deepseek, DEEPSEEK),
  deepseek31: row("DeepSeek V3.1, V3.2-Exp", "plain JSON between special tokens", deepseek, DEEPSEEK),
  deepseek32: row("DeepSeek V3.2", "DSML in `function_calls`", dsml("function_calls"), DSML),
  deepseek_v4: row("DeepSeek V4", "DSML in `tool_calls`", dsml("tool_calls"), DSML),
  deepseek_v41: row("DeepSeek V4.1", "DSML in `calls`, a space before each name", dsml("calls", " "), DSML),
  glm45_moe: row("GLM 4.5, 4.6", "`<arg_key>` and `<arg_value>` in `<tool_call>`", glm, GLM),
  glm47_moe: row("GLM 4.7, 5", "as glm45_moe; both take line breaks or none", glm, GLM),
  gemma4: row("Gemma 4", "`call:NAME{...}` between special tokens", gemma4, {
    needsSpecialTokens: true,
    stopTokens: ["<turn|>", "<|tool_response>"],
  }),
  kimik2: row("Kimi K2", "JSON between special tokens, ids `functions.NAME:N`", kimiK2, {
    needsSpecialTokens: true,
    stopTokens: ["<|im_end|>"],
  }),
  kimi_k3: row("Kimi K3", "elements of special tokens, ids `NAME:N`", kimiK3, SPECIAL),
  minimax_m2: row("MiniMax M2", "`<invoke>` in `<minimax:tool_call>`", minimax, { stopTokens: ["[e~["] }),
  step3: row("Step 3", "`<steptml:invoke>` between special tokens", step3, SPECIAL),
  cohere: row(
    "Command R7B, Command A",
    "JSON between `<|START_ACTION|>` and `<|END_ACTION|>`",
    jsonBlock(["<|START_ACTION|>"], ["<|END_ACTION|>"], COHERE, {
      ignored: ["<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"],
      trimsBeforeCalls: true,
    }),
    { needsSpecialTokens: true, stopTokens: COHERE },
  ),
  nemotron: row(
    "Nemotron Nano v2, Llama-Nemotron",
    "a JSON array in `<TOOLCALL>`",
    jsonBlock(["<TOOLCALL>"], ["</TOOLCALL>"], []),
  ),
  granite: row(
    "Granite 3",
    "a JSON array after `<|tool_call|>` or `<tool_call>`",
    jsonBlock(["<|tool_call|>", "<tool_call>"], [], GRANITE),
    {
      needsSpecialTokens: true,
      stopTokens: GRANITE,
    },
  ),
  phi4_mini: row("Phi-4-mini", "a JSON array after `functools`", jsonBlock(["functools"], [], [])),
  internlm: row(
    "InternLM 2, 3",
    "JSON after `<|action_start|><|plugin|>`",
    jsonBlock(["<|action_start|><|plugin|>"], ["<|action_end|>"], INTERNLM),
    { needsSpecialTokens: true, stopTokens: INTERNLM },
  ),
  hunyuan: row(
    "Hunyuan A13B, Jamba",
    "a JSON array in `<tool_calls>`",
    jsonBlock(["<tool_calls>"], ["</tool_calls>"], []),
  ),
  longcat: row(
    "LongCat",
    "JSON in `<longcat_tool_call>`",
    jsonBlock(["<longcat_tool_call>"], ["</longcat_tool_call>"], []),
  ),
  sarashina: row("Sarashina", "Python dicts after `<|tool_calls|>`", sarashina),
  inkling: row("Inkling", "typed blocks with JSON", inkling, SPECIAL),
  harmony: row("gpt-oss", "messages in channels", harmony, {
    needsSpecialTokens: true,
    stopTokens: ["<|return|>", "<|call|>"],
  }),
} as const satisfies Record<string, ToolCallParserRow>;

export type ToolCallParserName = keyof typeof rows;

/** How each family of models writes its calls. */
export const TOOL_CALL_PARSERS: Readonly<Record<ToolCallParserName, ToolCallParserRow>> = rows;

export function isToolCallParserName(name: string): name is ToolCallParserName {
  return Object.hasOwn(TOOL_CALL_PARSERS, name);
}
