const SYLLABLES =
  "an ber con del est for gra hin ith jor kel lan men nor out per qua res ste tion und ver wor ing ly ed".split(" ");
const COMMON =
  "the of and to in is that it for was on are with as they at be this have from or had by not but what".split(" ");

/** Prose of common words and made-up ones, in the proportions of text; another one for each seed. */
export function prose(chars: number, seed: number): string {
  let state = seed;
  const random = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const pick = (words: readonly string[]): string => words[random(words.length)] ?? "";
  let text = "";
  while (text.length < chars) {
    text += random(2) === 0 ? pick(COMMON) : Array.from({ length: 1 + random(3) }, () => pick(SYLLABLES)).join("");
    text += random(12) === 0 ? (random(3) === 0 ? ".\n\n" : ", ") : " ";
  }
  return text;
}
