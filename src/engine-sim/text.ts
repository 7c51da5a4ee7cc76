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
 * The answer to a prompt: a function of its bytes alone, so two engines give the same answer to the same prompt; and each
 * token is a function of all that stands before it, so a prompt with a part of its answer is answered with the rest. A
 * token is a word with the space before it; the first has none, unless the prompt ends with text of an answer.
 */
export function answerTokens(prompt: Uint8Array, count: number, isBegun = false): string[] {
  let state = absorb(OFFSET, prompt);
  const tokens: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const word = WORDS[scramble(state) % WORDS.length] ?? "the";
    const token = index === 0 && !isBegun ? word : ` ${word}`;
    // Without the space, so that it does not matter whether this is the first.
    state = absorb(state, Buffer.from(word));
    tokens.push(token);
  }
  return tokens;
}

/** Tokens of a text that is given, or of what is left of it after its beginning: some letters each. */
export function tokensOf(text: string, begun = ""): string[] {
  return (text.startsWith(begun) ? text.slice(begun.length) : text).match(/[^]{1,3}/gu) ?? [];
}

/** Words that could stand in this token's place, each once. */
export function otherTokens(token: string, count: number): string[] {
  const space = token.startsWith(" ") ? " " : "";
  return WORDS.map((word) => space + word)
    .filter((word) => word !== token)
    .slice(0, count);
}

/** FNV-1a, 32 bits. */
const OFFSET = 0x811c9dc5;

function absorb(state: number, bytes: Uint8Array): number {
  let hash = state;
  for (const byte of bytes) {
    // Spaces are between words; see above.
    if (byte !== 0x20) hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash;
}

/** Neighbouring states give words far apart: the finalizer of MurmurHash3. */
function scramble(state: number): number {
  let hash = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** How long an answer is where nobody bounds it: from 8 to 39 tokens, by the prompt. */
export function naturalLength(prompt: Uint8Array): number {
  return 8 + (Bun.hash.xxHash32(prompt, 7) % 32);
}
