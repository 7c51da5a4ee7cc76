import { billingLineIn } from "./billing-line.ts";
import type { JsonBody } from "./json/json-body.ts";
import { CLOSE_BRACKET } from "../util/ascii.ts";

const NO_BYTES = new Uint8Array(0);

/**
 * The prompt of a request as bytes, for policies that look at its beginning: the bytes of the given members, in the order in
 * which templates render them. The bracket that closes a list is left out, so the next turn of a conversation begins with the
 * bytes of the last one. So is the line that coding agents change with every request. Nothing is decoded, and one member alone
 * is not copied.
 */
export function promptOf(body: JsonBody, members: readonly string[]): Uint8Array {
  let only: Uint8Array | undefined;
  let parts: Uint8Array[] | undefined;
  for (const name of members) {
    const raw = body.raw(name);
    if (!raw) continue;
    const part = raw.at(-1) === CLOSE_BRACKET ? raw.subarray(0, -1) : raw;
    const line = billingLineIn(part);
    if (line) {
      parts ??= only ? [only] : [];
      parts.push(part.subarray(0, line.start), part.subarray(line.end));
    } else if (parts) parts.push(part);
    else if (only === undefined) only = part;
    else parts = [only, part];
  }
  return parts ? Buffer.concat(parts) : (only ?? NO_BYTES);
}
