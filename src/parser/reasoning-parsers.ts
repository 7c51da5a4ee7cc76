import type { ChannelFormat } from "./call-format.ts";
import { harmony } from "./formats/harmony.ts";
import { inkling } from "./formats/inkling.ts";
import { kimiK3 } from "./formats/kimi-k3.ts";
import type { ReasoningMarks } from "./marker-plan.ts";

export interface ReasoningParserRow {
  readonly family: string;
  readonly description: string;
  /** The markers are special tokens, so detokenizing must keep special tokens. */
  readonly needsSpecialTokens: boolean;
  /** Tokens that end an answer. At the end of the text they are dropped. */
  readonly stopTokens: readonly string[];
  /** The models always reason, and the prompt may already have opened the reasoning. */
  readonly startsInReasoning: boolean;
  readonly format: ReasoningMarks | ChannelFormat;
}

const THINK: ReasoningMarks = { start: "<think>", end: "</think>" };
const COHERE_WRAPPERS = ["<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"];

type RowParts = Partial<Pick<ReasoningParserRow, "needsSpecialTokens" | "stopTokens" | "startsInReasoning">>;

function row(
  family: string,
  description: string,
  format: ReasoningMarks | ChannelFormat,
  { needsSpecialTokens = false, stopTokens = [], startsInReasoning = false }: RowParts = {},
): ReasoningParserRow {
  return { family, description, needsSpecialTokens, stopTokens, startsInReasoning, format };
}

const THINKS = "between `<think>` and `</think>`";
const ALWAYS_THINKS = "from the beginning to `</think>`";
const ALWAYS = { startsInReasoning: true };
const SPECIAL = { needsSpecialTokens: true };

const rows = {
  base: row("Any", THINKS, THINK),
  deepseek_r1: row("DeepSeek R1 and what was distilled from it", ALWAYS_THINKS, THINK, ALWAYS),
  deepseek_v31: row("DeepSeek V3.1 to V4", THINKS, THINK),
  qwen3: row("Qwen 3 and later", THINKS, THINK),
  qwen3_thinking: row("QwQ, Qwen 3 Thinking", ALWAYS_THINKS, THINK, ALWAYS),
  glm45: row("GLM 4.5 to 5", THINKS, THINK),
  kimi: row("Kimi up to K2", "between `◁think▷` and `◁/think▷`", { start: "◁think▷", end: "◁/think▷" }),
  kimi_k25: row("Kimi K2.5, K2.6", THINKS, THINK),
  kimi_thinking: row("Kimi K2 Thinking", ALWAYS_THINKS, THINK, ALWAYS),
  kimi_k3: row("Kimi K3", "the `think` element", kimiK3, SPECIAL),
  step3: row("Step 3, Step 3.5", ALWAYS_THINKS, THINK, ALWAYS),
  minimax: row("MiniMax M2", ALWAYS_THINKS, THINK, ALWAYS),
  nano_v3: row("Nemotron Nano v2, Nemotron 3", THINKS, THINK),
  cohere_cmd: row(
    "Command A Reasoning",
    "between `<|START_THINKING|>` and `<|END_THINKING|>`",
    { start: "<|START_THINKING|>", end: "<|END_THINKING|>", ignored: COHERE_WRAPPERS },
    { needsSpecialTokens: true, stopTokens: ["<|END_OF_TURN_TOKEN|>"] },
  ),
  mistral: row("Magistral", "between `[THINK]` and `[/THINK]`", { start: "[THINK]", end: "[/THINK]" }, SPECIAL),
  seed_oss: row("Seed-OSS", "between `<seed:think>` and `</seed:think>`", {
    start: "<seed:think>",
    end: "</seed:think>",
  }),
  granite: row("Granite 3.2", "between two sentences", {
    start: "Here is my thought process:",
    end: "Here is my response:",
    otherStarts: ["Here's my thought process:"],
    otherEnds: ["Here's my response:"],
  }),
  hunyuan: row("Hunyuan A13B", "`<think>`, then `<answer>`", { ...THINK, ignored: ["<answer>", "</answer>"] }),
  gemma4: row(
    "Gemma 4",
    "between `<|channel>` and `<channel|>`, `thought` left out",
    { start: "<|channel>", end: "<channel|>", label: "thought", areSpecial: true },
    { needsSpecialTokens: true, stopTokens: ["<turn|>"] },
  ),
  inkling: row("Inkling", "the thinking block", inkling, SPECIAL),
  harmony: row("gpt-oss", "the analysis channel", harmony, SPECIAL),
} as const satisfies Record<string, ReasoningParserRow>;

export type ReasoningParserName = keyof typeof rows;

/** How each family of models marks its reasoning. */
export const REASONING_PARSERS: Readonly<Record<ReasoningParserName, ReasoningParserRow>> = rows;

export function isReasoningParserName(name: string): name is ReasoningParserName {
  return Object.hasOwn(REASONING_PARSERS, name);
}
