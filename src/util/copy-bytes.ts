/** Copies the part of `bytes` from `from` up to `to` into the target. Returns the index after the copy in the target. It makes a view only where it must. */
export function copyBytes(target: Buffer, at: number, bytes: Uint8Array, from: number, to: number): number {
  if (bytes instanceof Buffer) bytes.copy(target, at, from, to);
  else target.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), at);
  return at + to - from;
}
