/** Words that answers are made of. Some have characters of several bytes, so that code which cuts within a character is found out. */
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

/** Bytes of a prompt that count as one token. */
const BYTES_PER_TOKEN = 4;

/** Number of tokens of a prompt, at least 1. */
export function countTokens(prompt: Uint8Array): number {
  return Math.max(1, Math.ceil(prompt.length / BYTES_PER_TOKEN));
}

/**
 * The first `count` tokens of the answer to a prompt. The answer depends on the prompt's bytes alone: two engines give the same
 * answer to the same prompt. Each token depends on all that stands before it: a prompt with the beginning of its answer behind
 * it is answered with the rest. A token is a word and the space before it. The first token has no space, unless `isBegun`.
 */
export function answerTokens(prompt: Uint8Array, count: number, isBegun = false): string[] {
  let state = absorb(OFFSET, prompt);
  const tokens: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const word = WORDS[scramble(state) % WORDS.length] ?? "the";
    const token = index === 0 && !isBegun ? word : ` ${word}`;
    // Spaces do not count, so the first word, which has none, leads to the same words as it does later on.
    state = absorb(state, Buffer.from(word));
    tokens.push(token);
  }
  return tokens;
}

/** Cuts a given text into tokens of three characters. Where the text starts with `begun`, only what follows is cut. */
export function tokensOf(text: string, begun = ""): string[] {
  return (text.startsWith(begun) ? text.slice(begun.length) : text).match(/[^]{1,3}/gu) ?? [];
}

/** `count` other words that could stand in the token's place, each once. */
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
    // See `answerTokens`.
    if (byte !== 0x20) hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash;
}

/** The finalizer of MurmurHash3: states that are close to each other give words that are not. */
function scramble(state: number): number {
  let hash = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Number of tokens of an answer that nothing bounds: from 8 to 39, by the prompt. */
export function naturalLength(prompt: Uint8Array): number {
  return 8 + (Bun.hash.xxHash32(prompt, 7) % 32);
}
