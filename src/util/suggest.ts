/**
 * The candidate that was likely meant. One that has all the words of `text` in their order comes first (`admin_key` for
 * `admin_api_key`, though `api_key` differs in fewer letters); else the one that differs least, if little enough to be a slip.
 */
export function closest(text: string, candidates: Iterable<string>): string | undefined {
  // No name is as long; to compare it would take its time.
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

/** Insertions, deletions and substitutions that turn one into the other. */
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
