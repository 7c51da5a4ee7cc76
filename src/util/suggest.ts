/**
 * The candidate that the user likely meant. A candidate that has all words of `text` in their order comes first (for
 * `admin_key` it is `admin_api_key`, although `api_key` differs in fewer letters). Otherwise it is the candidate with the
 * smallest difference, if that is small enough for a typing error.
 */
export function closest(text: string, candidates: Iterable<string>): string | undefined {
  // No name is this long, and comparing would take long.
  if (text.length > MAX_CHARS) return undefined;
  const words = wordsOf(text);
  let fuller: string | undefined;
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(text.length / 3)) + 1;
  for (const candidate of candidates) {
    const has = wordsOf(candidate);
    if (words.length > 1 && isWithin(words, has) && (!fuller || has.length < wordsOf(fuller).length))
      fuller = candidate;
    const distance = editDistance(text, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return bestDistance > 1 ? (fuller ?? best) : best;
}

const MAX_CHARS = 128;

function wordsOf(text: string): string[] {
  return text.split(/[-_]+/).filter((word) => word !== "");
}

function isWithin(words: readonly string[], all: readonly string[]): boolean {
  let found = 0;
  for (const word of all) if (word === words[found]) found += 1;
  return found === words.length;
}

/** Number of insertions, deletions and substitutions that turn one text into the other. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
