/**
 * Begins a line that a coding agent puts before its system prompt for its vendor's accounts, as in
 * `x-anthropic-billing-header: cc_version=2.1.177; cch=36ee5;`. The line changes with every request and tells the model nothing.
 * With it no prompt would begin like the one before, and no prefix cache would hit.
 */
const MARK = "x-anthropic-billing-header:";
const LINE = /^x-anthropic-billing-header:[^\n]*\n?/;
/** The mark at the beginning of a JSON string. */
const JSON_MARK = Buffer.from(`"${MARK}`);
/** The line is looked for in so many bytes of the system prompt or the messages, as it stands at their beginning. */
const SEARCHED_BYTES = 512;
const MAX_LINE_BYTES = 2048;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const N = 0x6e;

/** A system prompt without the line. */
export function withoutBillingLine(text: string): string {
  return text.startsWith(MARK) ? text.replace(LINE, "") : text;
}

/**
 * Where the line stands in the bytes of a member: from behind the opening quote to behind the line's end, or to the end of its
 * string. Undefined where the member has no such line.
 */
export function billingLineIn(member: Uint8Array): { readonly start: number; readonly end: number } | undefined {
  const head = Buffer.from(member.buffer, member.byteOffset, Math.min(member.length, SEARCHED_BYTES));
  const at = head.indexOf(JSON_MARK);
  if (at < 0) return undefined;
  const start = at + 1;
  const most = Math.min(member.length, start + MAX_LINE_BYTES);
  for (let end = start; end < most; end += 1) {
    if (member[end] === QUOTE) return { start, end };
    // JSON writes the line's end as \n. Other escapes are part of the line.
    if (member[end] !== BACKSLASH) continue;
    if (member[end + 1] === N) return { start, end: end + 2 };
    end += 1;
  }
  return undefined;
}
