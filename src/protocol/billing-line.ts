/**
 * The line that a coding agent puts before its system prompt for its vendor's accounts, as in
 * `x-anthropic-billing-header: cc_version=2.1.177; cch=36ee5;`. It says nothing to the model and changes with every request, so with it
 * no prompt would begin as the one before did.
 */
const MARK = "x-anthropic-billing-header:";
const LINE = /^x-anthropic-billing-header:[^\n]*\n?/;
/** As it begins a string of JSON. */
const JSON_MARK = Buffer.from(`"${MARK}`);
/** It is among the first bytes of the system prompt or of the messages, or it is not there. */
const SEARCHED_BYTES = 512;
const MAX_LINE_BYTES = 2048;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const N = 0x6e;

/** The beginning of a system prompt without the line. */
export function withoutBillingLine(text: string): string {
  return text.startsWith(MARK) ? text.replace(LINE, "") : text;
}

/**
 * Where the line stands in a member of a body, in bytes: from behind the quote to the end of the string, or of the line in it. Undefined
 * where there is none.
 */
export function billingLineIn(member: Uint8Array): { readonly start: number; readonly end: number } | undefined {
  const head = Buffer.from(member.buffer, member.byteOffset, Math.min(member.length, SEARCHED_BYTES));
  const at = head.indexOf(JSON_MARK);
  if (at < 0) return undefined;
  const start = at + 1;
  const most = Math.min(member.length, start + MAX_LINE_BYTES);
  for (let end = start; end < most; end += 1) {
    if (member[end] === QUOTE) return { start, end };
    // A line break is written as two characters; before any other escape the line just goes on.
    if (member[end] !== BACKSLASH) continue;
    if (member[end + 1] === N) return { start, end: end + 2 };
    end += 1;
  }
  return undefined;
}
