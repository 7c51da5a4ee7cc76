/** Unicode White_Space, which is what `\s` means to the native tokenizer. JavaScript's has U+FEFF and lacks U+0085. */
const WHITE_SPACE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
/** Characters that JavaScript allows to escape with the flag `u`. */
const SYNTAX = "^$\\.*+?()[]{}|/";
/** Escapes that mean the same in both languages. */
const SHARED = "tnrfvd";

/**
 * Translates a pattern of the native tokenizer's regex language (Oniguruma) into JavaScript source for the flags `u` and `g`.
 * Returns undefined for a construct that may mean something else in JavaScript. The self-check compares the result with the native ids.
 */
export function translatePattern(pattern: string): string | undefined {
  let out = "";
  let isInClass = false;
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern.charAt(at);
    if (char === "\\") {
      const escape = translateEscape(pattern, at, isInClass);
      if (!escape) return undefined;
      out += escape.source;
      at = escape.last;
    } else if (isInClass) {
      // A set within a set, or an intersection.
      if (char === "[" || (char === "&" && pattern.charAt(at + 1) === "&")) return undefined;
      if (char === "]") isInClass = false;
      out += char;
    } else {
      if (char === "[") isInClass = true;
      // Anchors, dots and possessive repetition differ between the two languages.
      if (char === "^" || char === "$" || char === ".") return undefined;
      if (char === "+" && "?*+".includes(pattern.charAt(at - 1)) && pattern.charAt(at - 2) !== "\\") return undefined;
      out += char;
      if (isInClass && pattern.charAt(at + 1) === "^") {
        out += "^";
        at += 1;
      }
    }
  }
  return compiles(out) ? out : undefined;
}

function translateEscape(
  pattern: string,
  at: number,
  isInClass: boolean,
): { source: string; last: number } | undefined {
  const char = pattern.charAt(at + 1);
  const last = at + 1;
  if (char === "s") return { source: isInClass ? WHITE_SPACE : `[${WHITE_SPACE}]`, last };
  if (char === "S") return isInClass ? undefined : { source: `[^${WHITE_SPACE}]`, last };
  if (char === "p" || char === "P") {
    const property = /^\{\^?(\p{Lu}\p{Ll}?)\}/u.exec(pattern.slice(at + 2));
    return property && !property[0].includes("^")
      ? { source: `\\${char}${property[0]}`, last: last + property[0].length }
      : undefined;
  }
  // The native tokenizer's digits include those of all scripts.
  if (char === "d") return { source: "\\p{Nd}", last };
  if (SHARED.includes(char)) return { source: `\\${char}`, last };
  if (/[A-Za-z0-9]/.test(char) || char === "") return undefined;
  if (SYNTAX.includes(char) || (isInClass && char === "-")) return { source: `\\${char}`, last };
  return { source: char, last };
}

function compiles(source: string): boolean {
  try {
    return new RegExp(source, "gu").source !== "";
  } catch {
    return false;
  }
}
