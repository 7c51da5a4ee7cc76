import { z } from "zod";
import type { RequestFeatures } from "./policy.ts";

/** Bytes of text that make about one token. A token id has as many bytes, so the length is exact where the prompt is tokens. */
const BYTES_PER_TOKEN = 4;

/** An option of the policies that choose by the beginning of the prompt. */
export const PREFIX_TOKEN_COUNT = z.int().min(16).max(65_536).default(256).meta({
  description:
    "prompts that are equal up to here belong together, tokens. Of text, 4 bytes are counted as a token. Should be longer than the system prompt that all share, and no longer than what the turns of one conversation share.",
});

/** Hash of the beginning of the prompt, 32 bits: the first `tokens` tokens, or the whole prompt where it is shorter. undefined without a prompt. */
export function hashPromptStart(request: RequestFeatures, tokens: number): number | undefined {
  const prompt = request.promptBytes();
  if (prompt.length === 0) return undefined;
  const bytes = tokens * BYTES_PER_TOKEN;
  return Bun.hash.xxHash32(prompt.length > bytes ? prompt.subarray(0, bytes) : prompt);
}
