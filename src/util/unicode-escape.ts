/** A UTF-16 code unit as JSON escapes it: `\u001b`. A replacer for `String.replace` where each match is one code unit. */
export function unicodeEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
