import { billingLineIn } from "./billing-line.ts";
import { cacheMarksIn, firstCacheMark } from "./cache-marks.ts";
import type { JsonBody } from "./json/json-body.ts";
import type { Span } from "./json/members.ts";
import { type Blob, stampOf } from "./media-blobs.ts";
import { CLOSE_BRACKET } from "../util/ascii.ts";

const NO_BYTES = new Uint8Array(0);

/** A place in the body that is left out of the prompt, or that `by` takes. */
interface Cut {
  readonly start: number;
  readonly end: number;
  readonly by?: Uint8Array;
}

/** Which members of a body make its prompt, and how they are read. */
export interface PromptForm {
  /** In the order in which templates render them. */
  readonly promptMembers: readonly string[];
  /** Whether clients mark in the prompt where caches should end (`cache_control`). */
  readonly hasCacheMarks: boolean;
}

/**
 * The prompt of a request as bytes, for policies that look at its beginning: the bytes of the members of the form. The bracket that
 * closes a list is left out, so the next turn of a conversation begins with the bytes of the last one. So are what engines do not cache by:
 * the line that coding agents change with every request, and marks for caches. `blobs` are images of the body, each of which counts
 * as its hash. Nothing is decoded, and one member alone is not copied.
 */
export function promptOf(
  body: JsonBody,
  { promptMembers, hasCacheMarks }: PromptForm,
  blobs: readonly Blob[],
): Uint8Array {
  const { bytes } = body;
  const hasMarks = hasCacheMarks && firstCacheMark(bytes) >= 0;
  let only: Uint8Array | undefined;
  let parts: Uint8Array[] | undefined;
  for (const name of promptMembers) {
    const span = body.span(name);
    if (!span) continue;
    const { start } = span;
    const end = partEnd(bytes, span);
    const cuts = cutsOf(bytes, start, end, hasMarks, blobs);
    if (cuts) {
      parts ??= only ? [only] : [];
      addPieces(parts, bytes, start, end, cuts);
    } else if (parts) parts.push(bytes.subarray(start, end));
    else if (only === undefined) only = bytes.subarray(start, end);
    else parts = [only, bytes.subarray(start, end)];
  }
  return parts ? Buffer.concat(parts) : (only ?? NO_BYTES);
}

/** The most bytes that `promptOf` can return, without a look at the prompt. */
export function longestPrompt(body: JsonBody, { promptMembers }: PromptForm): number {
  let most = 0;
  for (const name of promptMembers) {
    const span = body.span(name);
    if (span) most += partEnd(body.bytes, span) - span.start;
  }
  return most;
}

/** End of a member's part of the prompt. */
function partEnd(bytes: Uint8Array, { end }: Span): number {
  return bytes[end - 1] === CLOSE_BRACKET ? end - 1 : end;
}

/** What is left out of the part of the body from `from` to `to`, in order; undefined where it is nothing. */
function cutsOf(
  bytes: Buffer,
  from: number,
  to: number,
  hasMarks: boolean,
  blobs: readonly Blob[],
): readonly Cut[] | undefined {
  const line = billingLineIn(bytes, from, to);
  const marks = hasMarks ? cacheMarksIn(bytes, from, to) : undefined;
  if (blobs.length === 0 && !marks) return line && [line];
  const cuts: Cut[] = [...(marks ?? []), ...(line ? [line] : [])];
  for (const { start, end } of blobs) {
    if (start >= from && end <= to) cuts.push({ start, end, by: stampOf(bytes.subarray(start, end)) });
  }
  return cuts.length === 0 ? undefined : cuts.sort((a, b) => a.start - b.start);
}

function addPieces(parts: Uint8Array[], bytes: Uint8Array, first: number, last: number, cuts: readonly Cut[]): void {
  let from = first;
  for (const { start, end, by } of cuts) {
    if (start < from) continue;
    parts.push(bytes.subarray(from, start));
    if (by) parts.push(by);
    from = end;
  }
  parts.push(bytes.subarray(from, last));
}
