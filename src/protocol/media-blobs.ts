import { QUOTE } from "../util/ascii.ts";

/** Bytes between two looks: a blob that is longer than this and a look is always found. */
const STRIDE = 8192;
const LOOK = 64;
/** Bytes before the blob in its string, as in `data:image/png;base64,`. */
const MAX_PREFIX = 128;
/**
 * Bytes of prompt that an image or a recording counts for, about 1,000 tokens. Engines make 250 to 5,000 tokens of an image, by its
 * pixels, which nobody can see in its bytes.
 */
const COUNTED_BYTES = 4096;

/** Where an image or a recording stands in a body, as base64: from behind its opening quote to its closing one. */
export interface Blob {
  readonly start: number;
  readonly end: number;
}

/** Which bytes base64 is written with in JSON; some writers escape its slashes. */
const IS_BASE64 = new Uint8Array(256);
for (const char of Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\\"))
  IS_BASE64[char] = 1;

const NONE: readonly Blob[] = [];

/**
 * Finds the long base64 strings of a body. It looks at 64 bytes of each 8 KB, so text costs nearly nothing. Text within which base64
 * stands is text.
 */
export function blobsIn(bytes: Buffer): readonly Blob[] {
  let blobs: Blob[] | undefined;
  for (let at = 0; at + LOOK <= bytes.length; at += STRIDE) {
    if (!isBase64(bytes, at)) continue;
    const end = bytes.indexOf(QUOTE, at);
    if (end < 0) break;
    const start = bytes.lastIndexOf(QUOTE, at) + 1;
    if (isBase64(bytes, prefixEnd(bytes, start)) && isBase64(bytes, end - LOOK)) (blobs ??= []).push({ start, end });
    at += Math.floor((end - at) / STRIDE) * STRIDE;
  }
  return blobs ?? NONE;
}

/** Bytes of prompt by which these blobs are shorter than they stand in the body. */
export function savedBytes(blobs: readonly Blob[]): number {
  let saved = 0;
  for (const { start, end } of blobs) saved += Math.max(0, end - start - COUNTED_BYTES);
  return saved;
}

/** What stands for a blob in a prompt: bytes that are equal where the blobs are equal. */
export function stampOf(blob: Uint8Array): Uint8Array {
  const stamp = Buffer.alloc(Math.min(blob.length, COUNTED_BYTES));
  return stamp.fill(Bun.hash.xxHash3(blob).toString(36));
}

function isBase64(bytes: Uint8Array, from: number): boolean {
  for (let at = from; at < from + LOOK; at += 1) if (IS_BASE64[bytes[at] ?? 0] === 0) return false;
  return true;
}

/** Where the base64 of the string begins: behind the comma of a data URL. */
function prefixEnd(bytes: Buffer, start: number): number {
  const comma = bytes.subarray(start, start + MAX_PREFIX).lastIndexOf(";base64,");
  return comma < 0 ? start : start + comma + ";base64,".length;
}
