/**
 * Whether `text` matches the pattern: `*` is any number of characters, `?` is one, all others are themselves; case matters. In the
 * worst case it takes time in the product of the lengths. It takes no memory, because it only goes back to the last star.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let inPattern = 0;
  let star = -1;
  let afterStar = 0;
  while (at < text.length) {
    const wanted = pattern[inPattern];
    if (wanted === "*") {
      star = inPattern;
      afterStar = at;
      inPattern += 1;
    } else if (wanted === "?" || wanted === text[at]) {
      inPattern += 1;
      at += 1;
    } else if (star >= 0) {
      // The star matches one more character.
      afterStar += 1;
      at = afterStar;
      inPattern = star + 1;
    } else {
      return false;
    }
  }
  while (pattern[inPattern] === "*") inPattern += 1;
  return inPattern === pattern.length;
}

/** Characters that no name has, in the place of what `*` and `?` stand for. */
const [ANY, ONE] = ["\u0001", "\u0002"];

/** Whether `pattern` matches all that `other` matches, so that `other` is never asked behind it. */
export function coversGlob(pattern: string, other: string): boolean {
  const single = other.replaceAll("?", ONE);
  return ["", ANY, ANY + ANY].every((some) => matchesGlob(pattern, single.replaceAll("*", some)));
}
