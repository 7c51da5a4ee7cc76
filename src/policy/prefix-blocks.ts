/**
 * Sizes of a prompt's blocks: small ones at the beginning, where a system prompt ends and conversations begin to differ, and larger
 * ones after it, each at most a sixteenth of the prompt before it. 128 bytes are about 32 tokens of text, two blocks of an engine's
 * own cache.
 */
const TIERS = [
  { blockBytes: 128, until: 4 * 1024 },
  { blockBytes: 256, until: 16 * 1024 },
  { blockBytes: 1024, until: 64 * 1024 },
  { blockBytes: 4096, until: 128 * 1024 },
  { blockBytes: 8192, until: 256 * 1024 },
  { blockBytes: 16_384, until: 512 * 1024 },
  { blockBytes: 32_768, until: 1024 * 1024 },
  { blockBytes: 65_536, until: 2048 * 1024 },
  // A million tokens; the rest of the prompt is ignored.
  { blockBytes: 131_072, until: 4096 * 1024 },
] as const;

/** Size of the first blocks of a prompt, bytes. Shorter prompts have no block. */
export const SMALLEST_BLOCK_BYTES = TIERS[0].blockBytes;
/** Up to here the loop below hashes blocks, 16 bytes at a time. */
const SMALL_BYTES = TIERS[1].until;

/** End of each block. */
const ENDS = Int32Array.from(ends());
/** Most blocks of a prompt. */
export const MAX_BLOCKS = ENDS.length;
const MAX_BYTES = ENDS[MAX_BLOCKS - 1] ?? 0;

function* ends(): Generator<number, void, void> {
  let end = 0;
  for (const { blockBytes, until } of TIERS) while (end < until) yield (end += blockBytes);
}

const SMALL_BLOCKS = ENDS.indexOf(SMALL_BYTES) + 1;

/** Number of whole blocks of a prompt of this length. */
export function blocksIn(bytes: number): number {
  let blocks = 0;
  let from = 0;
  for (const { blockBytes, until } of TIERS) {
    blocks += Math.floor((Math.min(bytes, until) - from) / blockBytes);
    if (bytes <= until) break;
    from = until;
  }
  return blocks;
}

/** Where the first `blocks` blocks of a prompt end, bytes. */
export function blocksEnd(blocks: number): number {
  return blocks === 0 ? 0 : (ENDS[blocks - 1] ?? MAX_BYTES);
}

/** For each number of binary digits of a byte's position, the size of the blocks there. Tiers end at powers of two. */
const BYTES_BY_DIGITS = Int32Array.from({ length: 32 }, (_, digits) => {
  return TIERS.find(({ until }) => 2 ** digits <= until)?.blockBytes ?? 0;
});

/** Size of the block that begins at a byte, where another one ends; 0 where nothing is compared any more. */
export function blockBytesAt(byte: number): number {
  return BYTES_BY_DIGITS[32 - Math.clz32(byte)] ?? 0;
}

/** Share of the part of a prompt that is compared, 0 to 1. */
export function matchedRatio(matchedBytes: number, promptBytes: number): number {
  return matchedBytes === 0 ? 0 : matchedBytes / Math.min(promptBytes, MAX_BYTES);
}

/** The hashed form of a prompt, which policies compare. */
export interface PromptBlocks {
  /** For each whole block the hash of all bytes up to its end; never 0. */
  readonly hashes: Int32Array;
  /** Length of the prompt. */
  readonly bytes: number;
}

/**
 * The blocks of a prompt that exists only in a simulation: `hashAt` gives a number for all of its text up to a byte, equal for
 * equal texts.
 */
export function blocksOfText(bytes: number, hashAt: (end: number) => number): PromptBlocks {
  const hashes = new Int32Array(blocksIn(bytes));
  for (let block = 0; block < hashes.length; block += 1) hashes[block] = hashAt(ENDS[block] ?? 0) || 1;
  return { hashes, bytes };
}

/** A prompt without a block. */
export const NO_PROMPT: PromptBlocks = { hashes: new Int32Array(0), bytes: 0 };

/** Scratch memory for the small blocks of the current prompt. */
const WORDS = new Int32Array(SMALL_BYTES / 4);
const BYTES = new Uint8Array(WORDS.buffer);

/**
 * Hashes the blocks of a prompt as a chain: the hash of a block covers all bytes up to its end. No block of a prompt matches one of a
 * prompt with another `key`, 32 bits. Small blocks are hashed here, on words of a copy, as a native call and its view take 60 ns before the
 * first byte; large ones by the native CRC-32, which is the fastest here and returns a number. 8 KB take 1.6 µs, 400 KB 13 µs in cache (with xxHash3
 * of 64 bits 34 µs, a third of it for BigInt; Bun 1.4.5, Xeon, 2026-11-26).
 */
export function hashPrompt(prompt: Uint8Array, key = 0): PromptBlocks {
  const blocks = blocksIn(prompt.length);
  if (blocks === 0) return { hashes: NO_PROMPT.hashes, bytes: prompt.length };
  const hashes = new Int32Array(blocks);
  const small = Math.min(blocks, SMALL_BLOCKS);
  BYTES.set(prompt.length > SMALL_BYTES ? prompt.subarray(0, SMALL_BYTES) : prompt);
  const hash = hashSmall(hashes, small, key);
  if (blocks > small) hashLarge(hashes, prompt, hash);
  return { hashes, bytes: prompt.length };
}

/** Four lanes, so that a multiplication does not wait for the one before it. */
function hashSmall(hashes: Int32Array, blocks: number, key: number): number {
  let hash = key;
  let at = 0;
  for (let block = 0; block < blocks; block += 1) {
    let a = hash;
    let b = hash ^ 0x3c6ef372;
    let c = hash ^ 0x1b873593;
    let d = hash ^ 0x52dce729;
    for (const end = (ENDS[block] ?? 0) >> 2; at < end; at += 4) {
      a = mix(a ^ (WORDS[at] ?? 0), 0x9e3779b1);
      b = mix(b ^ (WORDS[at + 1] ?? 0), 0x85ebca77);
      c = mix(c ^ (WORDS[at + 2] ?? 0), 0xc2b2ae3d);
      d = mix(d ^ (WORDS[at + 3] ?? 0), 0x27d4eb2f);
    }
    hash = mix(mix(mix(a, 0x85ebca77) ^ b, 0xc2b2ae3d) ^ c, 0x27d4eb2f) ^ d;
    hash = spread(hash);
    hashes[block] = hash || 1;
  }
  return hash;
}

/**
 * Hashes the blocks after the small ones; `hash` is the last small block's. A checksum goes on where it stopped, so it is a chain by itself,
 * and two prefixes that differ never become equal by what follows them.
 */
function hashLarge(hashes: Int32Array, prompt: Uint8Array, hash: number): void {
  let chained = hash;
  for (let block = SMALL_BLOCKS; block < hashes.length; block += 1) {
    chained = Bun.hash.crc32(prompt.subarray(ENDS[block - 1], ENDS[block]), chained >>> 0);
    hashes[block] = spread(chained) || 1;
  }
}

/** Spreads what differs in some bits over all of them: alike checksums would share few sets of a table. */
function spread(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function mix(value: number, by: number): number {
  const product = Math.imul(value, by);
  return (product << 13) | (product >>> 19);
}
