import { billingLineIn } from "./billing-line.ts";
import { cacheMarksIn } from "./cache-marks.ts";
import type { JsonBody } from "./json/json-body.ts";
import { type Blob, stampOf } from "./media-blobs.ts";
import { CLOSE_BRACKET } from "../util/ascii.ts";

const NO_BYTES = new Uint8Array(0);

/** A place in a member that is left out of the prompt, or that `by` takes. */
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
  let only: Uint8Array | undefined;
  let parts: Uint8Array[] | undefined;
  for (const name of promptMembers) {
    const raw = body.raw(name);
    if (!raw) continue;
    const part = raw.at(-1) === CLOSE_BRACKET ? raw.subarray(0, -1) : raw;
    const cuts = cutsOf(part, hasCacheMarks, body, blobs);
    if (cuts) {
      parts ??= only ? [only] : [];
      addPieces(parts, part, cuts);
    } else if (parts) parts.push(part);
    else if (only === undefined) only = part;
    else parts = [only, part];
  }
  return parts ? Buffer.concat(parts) : (only ?? NO_BYTES);
}

function cutsOf(
  part: Uint8Array,
  hasMarks: boolean,
  body: JsonBody,
  blobs: readonly Blob[],
): readonly Cut[] | undefined {
  const line = billingLineIn(part);
  const marks = hasMarks ? cacheMarksIn(part) : undefined;
  if (blobs.length === 0 && !marks) return line && [line];
  const cuts: Cut[] = [...(marks ?? []), ...(line ? [line] : [])];
  const offset = part.byteOffset - body.bytes.byteOffset;
  for (const { start, end } of blobs) {
    if (start < offset || end > offset + part.length) continue;
    cuts.push({ start: start - offset, end: end - offset, by: stampOf(body.bytes.subarray(start, end)) });
  }
  return cuts.length === 0 ? undefined : cuts.sort((a, b) => a.start - b.start);
}

function addPieces(parts: Uint8Array[], part: Uint8Array, cuts: readonly Cut[]): void {
  let from = 0;
  for (const { start, end, by } of cuts) {
    if (start < from) continue;
    parts.push(part.subarray(from, start));
    if (by) parts.push(by);
    from = end;
  }
  parts.push(part.subarray(from));
}
