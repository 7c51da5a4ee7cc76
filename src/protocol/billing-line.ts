/**
 * Begins a line that a coding agent puts before its system prompt for its vendor's accounts, as in
 * `x-anthropic-billing-header: cc_version=2.1.177; cch=36ee5;`. The line changes with every request and tells the model nothing.
 * With it no prompt would begin like the one before, and no prefix cache would hit.
 */
const MARK = "x-anthropic-billing-header:";
const LINE = /^x-anthropic-billing-header:[^\n]*\n?/;
/** The mark at the beginning of a JSON string. */
const JSON_MARK = Buffer.from(`"${MARK}`);
/** By how far to step where a byte is not the last of the mark: to the mark's last such byte before, or past the mark. */
const STEPS = new Uint8Array(256).fill(JSON_MARK.length);
for (let at = 0; at < JSON_MARK.length - 1; at += 1) STEPS[JSON_MARK[at] ?? 0] = JSON_MARK.length - 1 - at;
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
 * Where the line stands in `bytes`, of which `from` to `to` is a member: from behind the opening quote to behind the line's end, or to the
 * end of its string. Undefined where the member has no such line.
 */
export function billingLineIn(
  bytes: Uint8Array,
  from: number,
  to: number,
): { readonly start: number; readonly end: number } | undefined {
  const at = markIn(bytes, from, Math.min(to, from + SEARCHED_BYTES));
  if (at < 0) return undefined;
  const start = at + 1;
  const most = Math.min(to, start + MAX_LINE_BYTES);
  for (let end = start; end < most; end += 1) {
    if (bytes[end] === QUOTE) return { start, end };
    // JSON writes the line's end as \n. Other escapes are part of the line.
    if (bytes[end] !== BACKSLASH) continue;
    if (bytes[end + 1] === N) return { start, end: end + 2 };
    end += 1;
  }
  return undefined;
}

/** Where the mark begins; -1 where it is not. A search of Bun's needs a view of these bytes, which takes longer than this loop. */
function markIn(bytes: Uint8Array, from: number, to: number): number {
  const last = JSON_MARK.length - 1;
  for (let at = from + last; at < to; at += STEPS[bytes[at] ?? 0] ?? 1) {
    let back = 0;
    while (back <= last && bytes[at - back] === JSON_MARK[last - back]) back += 1;
    if (back > last) return at - last;
  }
  return -1;
}
