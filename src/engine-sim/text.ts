/** Words that answers are made of; some take several bytes, so that nobody gets away with cutting between them. */
const WORDS = [
  "the",
  "a",
  "signal",
  "track",
  "train",
  "points",
  "line",
  "station",
  "goes",
  "turns",
  "waits",
  "left",
  "right",
  "to",
  "from",
  "before",
  "after",
  "green",
  "red",
  "slowly",
  "quickly",
  "and",
  "but",
  "then",
  "because",
  "driver",
  "bridge",
  "tunnel",
  "night",
  "morning",
  "coal",
  "steam",
  "whistle",
  "Gleis",
  "größer",
  "naïve",
  "東京",
  "駅",
  "🚂",
  "👨‍👩‍👧",
];

/** Bytes of text in a token of a prompt. */
const BYTES_PER_TOKEN = 4;

/** Tokens of a prompt, as this engine counts them. */
export function countTokens(prompt: Uint8Array): number {
  return Math.max(1, Math.ceil(prompt.length / BYTES_PER_TOKEN));
}

/**
 * The answer to a prompt: a function of its bytes alone, so two engines give the same answer to the same prompt, and a
 * prompt that was continued by a part of its answer is told apart. Each token is a word with the space before it.
 */
export function answerTokens(prompt: Uint8Array, count: number): string[] {
  let state = Bun.hash.xxHash32(prompt) || 1;
  const tokens: string[] = [];
  for (let index = 0; index < count; index += 1) {
    // xorshift, 32 bits (Marsaglia 2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const word = WORDS[(state >>> 0) % WORDS.length] ?? "the";
    tokens.push(index === 0 ? word : ` ${word}`);
  }
  return tokens;
}

/** How long an answer is where nobody bounds it: from 8 to 39 tokens, by the prompt. */
export function naturalLength(prompt: Uint8Array): number {
  return 8 + (Bun.hash.xxHash32(prompt, 7) % 32);
}
