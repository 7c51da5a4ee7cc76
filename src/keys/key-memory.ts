import { DIGEST_BYTES } from "./api-key.ts";

/**
 * The layout of the key table: memory that the control thread writes and all serving threads read, so that a change of a key is in force
 * everywhere at once and 100,000 keys are held once.
 *
 * ```
 *   header | requests in flight by thread and row | index | rows | texts
 * ```
 *
 * The index is a hash table of digests with open addressing. A cell is 0 where it is empty, else `2 * (row + 1)`, plus 1 for the digest
 * before the last rotation. Digests are random, so their first bytes are the hash.
 */

/** Cells of the header, 32 bits each. */
export const HEADER = {
  /** Odd while the control thread changes something. */
  version: 0,
  /** 1 where a caller needs a key. */
  isClosed: 1,
  /** What opens the administration besides a role: an index of `LOCAL_ADMIN`. */
  localAdmin: 2,
  capacity: 3,
  threads: 4,
  /** Rows that have a key. */
  count: 5,
} as const;
/** Offset in the header, bytes, of the control thread's clock: its time 0 as ms since 1970. */
const ORIGIN_AT = 32;
const HEADER_BYTES = 64;

/** Offsets in a row, bytes. */
export const ROW = {
  /** Grows with each change of the row. */
  version: 0,
  flags: 4,
  expiresAt: 8,
  previousUntil: 16,
  requestsPerMinute: 24,
  tokensPerMinute: 32,
  maxConcurrent: 40,
  /** When the bucket of requests is full, and that of tokens: numbers of 64 bits, ms of the table's clock. */
  requestsFullAt: 48,
  tokensFullAt: 56,
  running: 64,
  textAt: 68,
  textLength: 72,
  digest: 80,
  previousDigest: 80 + DIGEST_BYTES,
} as const;
export const ROW_BYTES = 144;
/** Bytes of text for each row, on average: its name and its patterns. */
export const TEXT_BYTES = 256;
/** Cells of the index for each row, which has two digests at most. */
const INDEX_CELLS = 4;

/** The parts of the table's memory. */
export interface KeyMemory {
  readonly buffer: SharedArrayBuffer;
  readonly header: Int32Array;
  /** One number: see ORIGIN_AT. */
  readonly origin: Float64Array;
  readonly index: Int32Array;
  /** Rows as numbers of 32 and 64 bits, and as bytes. */
  readonly ints: Int32Array;
  readonly floats: Float64Array;
  readonly bits: BigInt64Array;
  readonly bytes: Uint8Array;
  readonly texts: Uint8Array;
  /** Requests in flight of one thread, by row. */
  runningOf(thread: number): Int32Array;
}

/**
 * Allocates the memory for `capacity` keys, a power of two, and for their texts, bytes. The machine gives it page by page, when it is first
 * written.
 */
export function allocateKeyMemory(
  capacity: number,
  threads: number,
  textBytes = capacity * TEXT_BYTES,
): SharedArrayBuffer {
  const bytes = HEADER_BYTES + capacity * (4 * threads + 4 * INDEX_CELLS + ROW_BYTES) + textBytes;
  const buffer = new SharedArrayBuffer(bytes);
  const header = new Int32Array(buffer, 0, HEADER_BYTES / 4);
  header[HEADER.capacity] = capacity;
  header[HEADER.threads] = threads;
  return buffer;
}

/** Views of the memory. */
export function openKeyMemory(buffer: SharedArrayBuffer): KeyMemory {
  const header = new Int32Array(buffer, 0, HEADER_BYTES / 4);
  const capacity = header[HEADER.capacity] ?? 0;
  const threads = header[HEADER.threads] ?? 0;
  const runningAt = HEADER_BYTES;
  const indexAt = runningAt + capacity * 4 * threads;
  const rowsAt = indexAt + capacity * 4 * INDEX_CELLS;
  const textsAt = rowsAt + capacity * ROW_BYTES;
  return {
    buffer,
    header,
    origin: new Float64Array(buffer, ORIGIN_AT, 1),
    index: new Int32Array(buffer, indexAt, capacity * INDEX_CELLS),
    ints: new Int32Array(buffer, rowsAt, (capacity * ROW_BYTES) / 4),
    floats: new Float64Array(buffer, rowsAt, (capacity * ROW_BYTES) / 8),
    bits: new BigInt64Array(buffer, rowsAt, (capacity * ROW_BYTES) / 8),
    bytes: new Uint8Array(buffer, rowsAt, capacity * ROW_BYTES),
    texts: new Uint8Array(buffer, textsAt),
    runningOf: (thread) => new Int32Array(buffer, runningAt + thread * capacity * 4, capacity),
  };
}

/** What opens the administration to a caller on the gateway's own machine: nothing, being there, or the `api_key`. */
export const LOCAL_ADMIN = ["nobody", "this_machine", "api_key"] as const;
export type LocalAdmin = (typeof LOCAL_ADMIN)[number];

/** The first cell of the index for a digest that begins at `at`. */
export function firstCell(bytes: Uint8Array, at: number, cells: number): number {
  const hash =
    ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  return (hash >>> 0) & (cells - 1);
}
