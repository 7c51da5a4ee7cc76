import type { GatewayError } from "../../errors/errors.ts";
import { CR, LF, SPACE, TAB } from "../../util/ascii.ts";

/** Index of the blank line that ends a head, looked for from `from` on; -1 where it is not there yet. */
export function indexOfBlankLine(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    at = bytes.indexOf(CR, at);
    if (at < 0 || at + 3 >= bytes.length) return -1;
    if (bytes[at + 1] === LF && bytes[at + 2] === CR && bytes[at + 3] === LF) return at;
    at += 1;
  }
}

/**
 * Header lines from the index on (RFC 9112, section 5): names in lower case; where one comes twice its values are joined
 * with `, `, so that what may come once only is then not what it should be. No folding, no space before the colon, no control
 * characters. Throws what `malformed` makes of a few words.
 */
export function readFields(
  lines: readonly string[],
  first: number,
  malformed: (what: string) => GatewayError,
): Map<string, string> {
  const fields = new Map<string, string>();
  for (let index = first; index < lines.length; index += 1) {
    const line = lines[index] ?? "";
    const colon = line.indexOf(":");
    if (colon <= 0) throw malformed("bad header line");
    const name = line.slice(0, colon).toLowerCase();
    const value = withoutSpace(line, colon + 1);
    if (!NAME.test(name) || FORBIDDEN_IN_VALUE.test(value)) throw malformed("bad header");
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

/** The rest of the line without the spaces and tabs around it: what else `trim` takes off is not white space here. */
function withoutSpace(line: string, start: number): string {
  let from = start;
  let to = line.length;
  while (from < to && isSpace(line.charCodeAt(from))) from += 1;
  while (to > from && isSpace(line.charCodeAt(to - 1))) to -= 1;
  return line.slice(from, to);
}

function isSpace(code: number): boolean {
  return code === SPACE || code === TAB;
}

/** The length that a Content-Length tells, or undefined where it is not one. */
export function lengthIn(value: string): number | undefined {
  return DIGITS.test(value) ? Number(value) : undefined;
}

/** Whether the connection may carry another message behind that with these fields (RFC 9112, section 9.3). */
export function isKeptAlive(fields: ReadonlyMap<string, string>, isHttp11: boolean): boolean {
  const connection = fields.get("connection")?.toLowerCase();
  return !hasToken(connection, "close") && (isHttp11 || hasToken(connection, "keep-alive"));
}

function hasToken(list: string | undefined, token: string): boolean {
  if (list === undefined) return false;
  return list === token || list.split(",").some((one) => one.trim() === token);
}

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const FORBIDDEN_IN_VALUE = /[\u0000-\u0008\u000a-\u001f\u007f]/;
const DIGITS = /^[0-9]{1,15}$/;
