/**
 * Byte-level vocabularies write each byte as one printable character. Printable bytes stand for themselves; the other 68 have
 * the code points from 256 on, in order.
 */
function isPrintable(byte: number): boolean {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/** Code point that stands for a byte. */
export const CHAR_OF_BYTE: Uint16Array = new Uint16Array(256);
/** Byte that a code point stands for, -1 for none. */
const BYTE_OF_CHAR = new Int16Array(256 + 68).fill(-1);

let next = 256;
for (let byte = 0; byte < 256; byte += 1) {
  const char = isPrintable(byte) ? byte : next++;
  CHAR_OF_BYTE[byte] = char;
  BYTE_OF_CHAR[char] = byte;
}

/** The bytes of a token of a byte-level vocabulary; undefined where a character is not in the alphabet. */
export function bytesOfToken(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let index = 0; index < token.length; index += 1) {
    const byte = BYTE_OF_CHAR[token.charCodeAt(index)] ?? -1;
    if (byte < 0) return undefined;
    bytes[index] = byte;
  }
  return bytes;
}
