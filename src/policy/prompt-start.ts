import { BYTES_PER_TOKEN, type RequestFeatures } from "./policy.ts";

/** Hash of the beginning of the prompt, 32 bits: the first `tokens` tokens, or the whole prompt where it is shorter. undefined without a prompt. */
export function hashPromptStart(request: RequestFeatures, tokens: number): number | undefined {
  const prompt = request.promptBytes();
  if (prompt.length === 0) return undefined;
  const bytes = tokens * BYTES_PER_TOKEN;
  return Bun.hash.xxHash32(prompt.length > bytes ? prompt.subarray(0, bytes) : prompt);
}
